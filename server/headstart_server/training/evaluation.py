"""Evaluation of a part of the data by all processes of a world, no row twice."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.splits import Part
from headstart_server.model.losses import Loss
from headstart_server.training.agreement import Agreement
from headstart_server.training.feed import Feed
from headstart_server.training.outputs import Outputs, measured
from headstart_server.training.parallel import Parallel
from headstart_server.training.precision import Precision
from headstart_server.training.reports import Metrics

_LOSS_VALUES = 16_000_000


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
        agreement: Agreement,
    ) -> None:
        self._parallel, self._feed, self._outputs, self._losses = parallel, feed, outputs, losses
        self._precision, self._batch_size, self._agreement = precision, batch_size, agreement

    def evaluate(self, part: Part) -> Metrics:
        """Metrics of one part, the same in every process; empty where the part is."""
        return self._metrics(*self.outputs_of(part)) if self._feed.count(part) else {}

    def evaluate_as_predict(self, part: Part) -> Metrics:
        """Metrics of what Predict answers to the rows of one part: read and computed in fp32, and calibrated."""
        if not self._feed.count(part):
            return {}
        feed, precision = replace(self._feed, as_predict=True), Precision("fp32", self._feed.device)
        served = Evaluator(
            self._parallel, feed, self._outputs, self._losses, precision, self._batch_size, self._agreement
        )
        logits, targets = served.outputs_of(part)
        for feature in self._outputs:  # one after the other: those of many classes take much memory
            uncalibrated = logits.pop(feature.name).to(feed.device)
            logits[feature.name] = self._parallel.model.decoder(feature.name).calibrated(uncalibrated).cpu()
        return self._metrics(logits, targets)

    def outputs_of(self, part: Part) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """(logits, targets) of every row of a part, on the CPU."""
        world = self._parallel.world
        self._parallel.model.eval()
        batches = list(self._feed.ordered(part, self._batch_size))
        said = Outputs([feature.name for feature in self._outputs], self._feed, world)
        # FSDP's hooks need tensors that know their version, which those of inference mode do not
        with torch.inference_mode() if world.size == 1 else torch.no_grad():
            stream = self._feed.stream(world.portion(rows)[0] for rows in batches)
            for rows, (_, batch, _) in zip(batches, stream, strict=True):
                with self._precision.autocast():
                    logits = self._parallel(batch)
                said.add(rows, {name: values.float().cpu() for name, values in logits.items()})
                self._agreement.check()
        return said.everybody()

    def _metrics(self, logits: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Metrics:
        metrics: Metrics = {"loss": 0.0}
        if self._parallel.world.leads:
            for name, loss in self._losses.items():
                metrics[f"{name}.loss"] = mean_loss(loss, logits[name], targets[name], self._feed.device)
            metrics["loss"] = sum(metrics.values())
            metrics |= measured(self._outputs, logits, targets)
        told: Metrics = self._parallel.world.told(metrics)
        return told


def mean_loss(loss: Loss, logits: Tensor, targets: Tensor, device: torch.device) -> float:
    """The loss of all rows [n, ...], computed on a device for as many rows at once as have 16 million logits."""
    rows = max(1, _LOSS_VALUES // max(1, logits[0].numel()))
    if len(targets) <= rows:
        return float(loss(logits.to(device), targets.to(device)))
    total = masses = 0.0
    for block, target in zip(torch.split(logits, rows), torch.split(targets.to(device), rows), strict=True):
        if mass := loss.mass(target):
            total += float(loss(block.to(device), target)) * mass
            masses += mass
    return total / masses
