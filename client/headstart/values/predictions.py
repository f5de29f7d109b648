"""Predictions as Python values: one list per output feature, in the order of the rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headstart.errors import HeadstartError
from headstart.v1.prediction_pb2 import OutputPrediction, PredictResponse, TopClasses


@dataclass(frozen=True)
class Output:
    """Predictions of one output feature.

    Attributes:
        feature: its name.
        values: one per row: label, bool (binary data spelled true and false), float, list of items (set) or list of
            floats (vector).
        classes: labels in the order of `probabilities`; empty where it has none.
        probabilities: one list per row, one value per class; empty where not asked for.
        top: per row the most probable `(class, probability)`, most probable first; empty where not asked for.
    """

    feature: str
    values: Sequence[Any]
    classes: Sequence[str] = ()
    probabilities: Sequence[Sequence[float]] = ()
    top: Sequence[Sequence[tuple[str, float]]] = ()

    def columns(self) -> dict[str, list[Any]]:
        """Return `NAME_prediction`, `NAME_probability_CLASS` and `NAME_top_K` columns, those that were asked for."""
        name = self.feature
        columns: dict[str, list[Any]] = {f"{name}_prediction": list(self.values)}
        if self.probabilities:
            for index, label in enumerate(self.classes):
                columns[f"{name}_probability_{label}"] = [row[index] for row in self.probabilities]
        for rank in range(len(self.top[0]) if self.top else 0):
            columns[f"{name}_top_{rank + 1}"] = [row[rank][0] for row in self.top]
            columns[f"{name}_top_{rank + 1}_probability"] = [row[rank][1] for row in self.top]
        return columns


@dataclass(frozen=True)
class Predictions(Mapping[str, Output]):
    """Predictions of one request, by output feature: `predictions["label"].values`.

    Attributes:
        outputs: by feature name.
        model: the model that answered, `models/{id}`.
        rows_found: rows whose embeddings came from the store.
        warnings: what is probably wrong with the rows, such as a column of which the model knows no value.
        row_errors: why rows were left out, by their number from 0: of a stream with `skip_bad_rows`. `values` are those
            of all other rows, in order.
        error: why there are no predictions: of a batch of a stream with `errors="return"`, or of one of many models.
    """

    outputs: Mapping[str, Output]
    model: str
    rows_found: int
    warnings: Sequence[str] = ()
    row_errors: Mapping[int, HeadstartError] = field(default_factory=dict)
    error: HeadstartError | None = None

    @classmethod
    def of(cls, response: PredictResponse, row_errors: Mapping[int, HeadstartError] | None = None) -> Predictions:
        """Read a response, and why rows were left out."""
        outputs = {output.feature: _output(output) for output in response.outputs}
        return cls(
            outputs=outputs,
            model=response.model,
            rows_found=response.rows_found,
            warnings=tuple(response.warnings),
            row_errors=row_errors or {},
        )

    def __getitem__(self, feature: str) -> Output:
        """Return the predictions of one output feature; raises the error where there are none."""
        if self.error is not None:
            raise self.error
        return self.outputs[feature]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the output features."""
        return iter(self.outputs)

    def __len__(self) -> int:
        """Return the number of output features."""
        return len(self.outputs)

    @property
    def row_count(self) -> int:
        """Number of rows."""
        return max((len(output.values) for output in self.outputs.values()), default=0)

    @property
    def rows_read(self) -> int:
        """Number of rows that were sent: those with predictions, and those that were left out."""
        return self.row_count + len(self.row_errors)

    def columns(self) -> dict[str, list[Any]]:
        """Return every output's columns, ready for `pandas.DataFrame`."""
        return {name: values for output in self.outputs.values() for name, values in output.columns().items()}


def _output(output: OutputPrediction) -> Output:
    classes = tuple(output.classes)
    flat, width = list(output.probabilities), len(classes)
    return Output(
        feature=output.feature,
        values=_values(output),
        classes=classes,
        probabilities=[flat[start : start + width] for start in range(0, len(flat), width)] if width else [],
        top=[_top(row) for row in output.top],
    )


def _values(output: OutputPrediction) -> list[Any]:
    kind = output.WhichOneof("predictions")
    if kind is None:
        return []
    if kind == "sets":
        return [list(row.values) for row in output.sets.rows]
    if kind == "vectors":
        width, flat = output.vectors.width, list(output.vectors.values)
        return [flat[start : start + width] for start in range(0, len(flat), width)] if width else []
    return list(getattr(output, kind).values)


def _top(row: TopClasses) -> list[tuple[str, float]]:
    return list(zip(row.labels, row.probabilities, strict=True))
