"""What `headstart predict` is asked about: the rows of a table or image files, and what each row is called."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from headstart.errors import InvalidArgument, Violation
from headstart.files.image_rows import ImageFile, image_files, image_rows, is_images
from headstart.files.memory_images import image_inputs
from headstart.files.row_files import batches, read_batches
from headstart.v1.model_pb2 import Model
from headstart.v1.table_pb2 import Table
from headstart.values.predictions import Predictions
from headstart.values.table import Rows

ROW = re.compile(r"\brow (\d+)\b")


class PredictionRows:
    """Batches that fit a message, and afterwards the names of the rows that have been answered.

    Args:
        data: a table, an image, or a folder of images.
        model: what the rows are for; `data` may be images only where the model reads one image and nothing else.
        most_rows: of a batch.
    """

    def __init__(self, data: Path, model: Model, most_rows: int) -> None:
        self._data, self._most = data, most_rows
        self._images = image_inputs(model)
        self._files: list[ImageFile] | None = None
        if is_images(data):
            _require_one_image(data, model)
            self._files = image_files(data)
        self._sent: deque[list[str]] = deque()
        self._own_error: InvalidArgument | None = None
        self._counted = True
        self._rows = self._answered = 0

    def batches(self) -> Iterator[Rows]:
        """Yield the batches; the client takes them ahead of the answers, on a thread of its own."""
        try:
            for batch in self._read():
                self._sent.append(list(self._names_of(batch)))
                yield batch
        except InvalidArgument as error:
            self._own_error = error
            raise

    def answered(self, predictions: Predictions, numbered: bool = False) -> dict[str, list[Any]]:
        """Return the columns that name the rows of the next batch that have predictions.

        `file` for image files, `row` for others where they are to be numbered, from 1 as they lie in the data.
        """
        names = self._sent.popleft()
        kept = [row for row in range(predictions.rows_read) if row not in predictions.row_errors]
        first, self._answered = self._answered + 1, self._answered + predictions.rows_read
        if self._files is not None:
            return {"file": [names[row] for row in kept]}
        return {"row": [first + row for row in kept]} if numbered else {}

    def left_out(self, predictions: Predictions) -> list[str]:
        """Return why rows of the next batch were left out, with rows as they are called here."""
        count = predictions.rows_read
        names = self._sent[0] or [f"row {self._answered + row + 1}" for row in range(count)]
        return [_said(error.message, names) for _, error in sorted(predictions.row_errors.items())]

    def named(self, error: InvalidArgument) -> InvalidArgument:
        """Return the server's error about the next batch with rows as they are called here; `data`'s own as it is."""
        if error is self._own_error:
            return error
        names = self._sent[0] if self._sent else []
        violations = [Violation(item.field, _said(item.description, names)) for item in error.violations]
        return InvalidArgument(_said(error.message, names), code=error.code, reason=error.reason, violations=violations)

    def _read(self) -> Iterable[Rows]:
        if self._files is None:
            return read_batches(self._data, self._most, self._images)
        (column,) = self._images
        return batches(image_rows(self._files, column), self._most)

    def _names_of(self, batch: Rows) -> Iterator[str]:
        """Yield what each row is called; nothing from where rows cannot be counted (Arrow)."""
        self._counted = self._counted and not isinstance(batch, Table)
        rows: Any = batch
        for _ in rows if self._counted else ():
            yield self._files[self._rows].name if self._files is not None else f"row {self._rows + 1}"
            self._rows += 1


def _said(text: str, names: Sequence[str]) -> str:
    """Return a message about rows by number with what they are called."""
    return ROW.sub(lambda row: names[int(row[1]) - 1] if 0 < int(row[1]) <= len(names) else row[0], text)


def _require_one_image(data: Path, model: Model) -> None:
    columns = [item.column for item in model.inputs]
    if len(columns) != 1 or not image_inputs(model):
        message = f"{data} gives images only, but {model.name} reads {', '.join(columns)}; put them into a CSV file"
        raise InvalidArgument(message, reason="WRONG_INPUTS")
