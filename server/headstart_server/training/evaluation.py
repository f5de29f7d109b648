"""Evaluation of a part of the data by all processes of a world, no row twice."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.parts import Part
from headstart_server.model.losses import Loss
from headstart_server.training.detailed_evaluation import detailed, evaluated
from headstart_server.training.feed import Feed
from headstart_server.training.output_evaluation import OutputEvaluation
from headstart_server.training.outputs import LossSums, Outputs, condensed, measured
from headstart_server.training.parallel.base import Parallel
from headstart_server.training.precision import Precision
from headstart_server.training.reports import Metrics
from headstart_server.training.step_sync import StepSync

_Answers = Iterator[tuple[Tensor, dict[str, Tensor], Mapping[str, Tensor]]]
_BATCH_LOGITS = 16_000_000
"""Of one process and batch: of very many classes fewer rows are evaluated at once."""


class Evaluator:
    """Runs the current weights over a part."""

    def __init__(
        self,
        parallel: Parallel,
        feed: Feed,
        outputs: tuple[FittedFeature, ...],
        losses: Mapping[str, Loss],
        precision: Precision,
        batch_size: int,
        step_sync: StepSync,
    ) -> None:
        self._parallel, self._feed, self._outputs, self._losses = parallel, feed, outputs, losses
        self._precision, self._batch_size, self._step_sync = precision, batch_size, step_sync

    def evaluate(self, part: Part) -> Metrics:
        """Metrics of one part, the same in every process; empty where the part is."""
        return self._metrics(part) if self._feed.count(part) else {}

    def evaluate_logits(self, part: Part, logits: Mapping[str, Tensor]) -> Metrics:
        """Metrics of one part whose logits are known, in the order of its rows; empty where the part is."""
        return self._metrics(part, answers=self._given(part, logits)) if self._feed.count(part) else {}

    def evaluate_as_predict(self, part: Part) -> tuple[Metrics, list[OutputEvaluation]]:
        """Metrics of what Predict answers to the rows of one part: read and computed in fp32, and calibrated.

        With them, in rank 0 alone, the detailed evaluation of each output.
        """
        if not self._feed.count(part):
            return {}, []
        feed, precision = replace(self._feed, as_predict=True), Precision("fp32", self._feed.device)
        served = Evaluator(
            self._parallel, feed, self._outputs, self._losses, precision, self._batch_size, self._step_sync
        )
        details = Outputs(self._outputs, feed, self._parallel.world)
        metrics = served._metrics(part, details)
        answers, targets = details.everybody()
        if not self._parallel.world.leads:
            return metrics, []
        rows = details.rows
        return metrics, [evaluated(each, part, answers[each.name], targets[each.name], rows) for each in self._outputs]

    def outputs_of(self, part: Part, most_rows: int | None = None) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """(logits, targets) of the rows of a part, or of so many of them at even distances, on the CPU."""
        said = Outputs(self._outputs, self._feed, self._parallel.world)
        for rows, logits, _ in self._answers(part, most_rows):
            said.add(rows, {name: values.cpu() for name, values in logits.items()})
        return said.everybody()

    def _metrics(self, part: Part, details: Outputs | None = None, answers: _Answers | None = None) -> Metrics:
        """Of the answers of the current weights, or of others; with `details` calibrated, which it takes note of."""
        world = self._parallel.world
        said, losses = Outputs(self._outputs, self._feed, world), LossSums(self._losses, world)
        for rows, logits, targets in answers or self._answers(part):
            if details is not None:
                logits = self._parallel.model.head.calibrated(logits)
                known = {each.name: detailed(each, logits[each.name], targets[each.name]) for each in self._outputs}
                details.add(rows, known)
            # 0 where this process is idle: it ran the first row, which another one counts
            counted = len(world.share(rows))
            losses.add(*({name: values[:counted] for name, values in found.items()} for found in (logits, targets)))
            said.add(rows, {each.name: condensed(each, logits[each.name]).cpu() for each in self._outputs})
        means = losses.means()
        metrics: Metrics = {"loss": sum(means.values()), **{f"{name}.loss": mean for name, mean in means.items()}}
        condensed_answers, truths = said.everybody()
        # measured by one and told to the others: numbers that differ in the last bit from machine to machine would let
        # processes decide differently about best epochs and early stops
        if world.leads:
            metrics |= measured(self._outputs, condensed_answers, truths)
        everywhere: Metrics = world.broadcast_object(metrics)
        return everywhere

    def _given(self, part: Part, logits: Mapping[str, Tensor]) -> _Answers:
        """As `_answers`, of logits that are known; where the targets are, as those of the weights would be."""
        rows = self._feed.parts[part]
        for places in torch.split(torch.arange(len(rows)), self._batch_size):
            targets = {name: values[rows[places]] for name, values in self._feed.targets.items()}
            yield rows[places], {name: values[places].to(self._feed.device) for name, values in logits.items()}, targets

    def _answers(self, part: Part, most_rows: int | None = None) -> _Answers:
        """(rows, logits, targets) batch by batch: all rows of a batch, and what this process's portion of it gives."""
        world = self._parallel.world
        self._parallel.model.eval()
        classes = sum(len(feature.classes) for feature in self._outputs)
        # as `batch_size`, of all processes together: at least a row for each
        most = max(world.size, world.size * _BATCH_LOGITS // max(1, classes))
        batches = list(self._feed.ordered(part, min(self._batch_size, most), most_rows))
        stream = self._feed.stream(world.portion(rows)[0] for rows in batches)
        for rows, (_, batch, targets) in zip(batches, stream, strict=True):
            # FSDP's hooks need tensors that know their version, which those of inference mode do not
            with torch.inference_mode() if world.size == 1 else torch.no_grad(), self._precision.autocast():
                logits = self._parallel(batch)
            yield rows, {name: values.float() for name, values in logits.items()}, targets
            # as often in every process: all go through all batches, idle or not
            self._step_sync.check()
