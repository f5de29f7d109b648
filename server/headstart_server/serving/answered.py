"""What a model answered rows whose targets are known: metrics, and how it answers in detail."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from headstart_server.data.features.cells import Where, missing, missing_numbers
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.parts import Part
from headstart_server.data.tables import Table
from headstart_server.engines.evaluated_rows import cell_text
from headstart_server.model.decoders import logit_columns
from headstart_server.model.losses import build_loss
from headstart_server.model.world import World
from headstart_server.serving.decode import Decoded
from headstart_server.training.detailed_evaluation import detailed, evaluated
from headstart_server.training.output_evaluation import OutputEvaluation, RowEvaluation
from headstart_server.training.outputs import LossSums, condensed, measured

_LEAST = 1e-12
"""Of a probability, whose logarithm is taken."""
MOST_VALUES = 100_000_000
"""Numbers that are kept of all rows together."""


def most_rows(outputs: Sequence[FittedFeature]) -> int:
    """How many rows can be evaluated: of each the logits are kept twice, or of a category what is ranked first."""
    widths = (8 if feature.spec.type == "category" else 3 * logit_columns(feature) for feature in outputs)
    return MOST_VALUES // max(1, sum(widths))


@dataclass
class _Output:
    feature: FittedFeature
    losses: LossSums
    condensed: list[Tensor] = field(default_factory=list)
    detailed: list[Tensor] = field(default_factory=list)
    targets: list[Tensor] = field(default_factory=list)
    rows: list[Tensor] = field(default_factory=list)


class Answered:
    """Collects answers chunk by chunk; rows without a target are left out of that output."""

    def __init__(self, inputs: Sequence[FittedFeature], outputs: Sequence[FittedFeature], table: Table) -> None:
        self._inputs, self._table = inputs, table
        self._outputs = [
            _Output(feature, LossSums({feature.name: build_loss(feature, torch.device("cpu"))}, World()))
            for feature in outputs
        ]

    def add(self, rows: npt.NDArray[np.int64], decoded: Sequence[Decoded]) -> None:
        """Takes note of the answers to some rows, by their numbers, ascending; raises InvalidInputError for a target
        that is none, or that the model has never seen."""
        for output, answer in zip(self._outputs, decoded, strict=True):
            feature = output.feature
            cells = self._table.rows.column(feature.spec.source).take(pa.array(rows)).combine_chunks()
            known = np.flatnonzero(~(missing_numbers if feature.spec.type == "number" else missing)(cells))
            if not len(known):
                continue
            numbers = rows[known]
            where = Where("dataset", feature.spec.source, partial(_place, numbers))
            array = feature.transform(cells.take(pa.array(known)), where)
            targets, logits = torch.from_numpy(array), _logits(feature, answer)[torch.from_numpy(known)]
            output.losses.add({feature.name: logits}, {feature.name: targets})
            output.condensed.append(condensed(feature, logits))
            output.detailed.append(detailed(feature, logits, targets))
            output.targets.append(targets)
            output.rows.append(torch.from_numpy(numbers))

    def metrics(self) -> dict[str, float]:
        """By `output.metric`, and the total loss of the outputs that any row has a target of; empty where none has."""
        found: dict[str, float] = {}
        for output in self._known():
            name = output.feature.name
            loss = output.losses.means()[name]
            answers, targets = torch.cat(output.condensed), torch.cat(output.targets)
            found |= {f"{name}.loss": loss, **measured([output.feature], {name: answers}, {name: targets})}
        losses = [found[f"{output.feature.name}.loss"] for output in self._known()]
        return ({"loss": sum(losses)} if losses else {}) | found

    def evaluations(self) -> list[OutputEvaluation]:
        """In detail, with the inputs of the rows that are answered worst."""
        found = []
        for output in self._known():
            parts = (torch.cat(each) for each in (output.detailed, output.targets, output.rows))
            evaluation = evaluated(output.feature, Part.TEST, *parts)
            found.append(replace(evaluation, worst_rows=[self._named(row) for row in evaluation.worst_rows]))
        return found

    def _known(self) -> list[_Output]:
        return [output for output in self._outputs if output.rows]

    def _named(self, found: RowEvaluation) -> RowEvaluation:
        columns = dict.fromkeys(feature.spec.source for feature in self._inputs)
        cells = self._table.rows.select([column for column in columns if column in self._table.columns])
        inputs = {column: cell_text(cells.column(column).slice(found.row, 1)) for column in cells.schema.names}
        return replace(found, row=found.row + 1, source="dataset", inputs=inputs)


def _place(rows: npt.NDArray[np.int64], place: int) -> str:
    return f"row {rows[place] + 1}"


def _logits(feature: FittedFeature, answer: Decoded) -> Tensor:
    """What the loss takes, of what is answered: [n, classes], [n], or [n, d]."""
    match feature.spec.type:
        case "category":
            assert answer.probabilities is not None
            return torch.from_numpy(np.log(np.maximum(answer.probabilities, _LEAST)))
        case "binary":
            assert answer.probabilities is not None
            return _log_odds(answer.probabilities[:, 1])
        case "set":
            assert answer.probabilities is not None
            return _log_odds(answer.probabilities)
        case "number":
            where = Where("dataset", feature.spec.source, str)
            return torch.from_numpy(feature.transform(pa.array(answer.values, pa.float64()), where))
        case _:
            return torch.from_numpy(np.asarray(answer.values, dtype=np.float32))


def _log_odds(probabilities: npt.NDArray[np.float32]) -> Tensor:
    within = probabilities.astype(np.float64).clip(_LEAST, 1 - _LEAST)
    return torch.from_numpy(np.log(within / (1 - within)).astype(np.float32))
