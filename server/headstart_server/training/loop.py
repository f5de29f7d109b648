"""The loop: epochs, batches, forward, loss, step, evaluate, save, report."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.optim import Optimizer

from headstart_server.core.timing import Waited
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.splits import Part
from headstart_server.model.ecd import ECD
from headstart_server.model.losses import LossFunction
from headstart_server.training.checkpoint import Progress, RunningState, load_checkpoint, save_checkpoint
from headstart_server.training.direct import DirectAdam
from headstart_server.training.feed import Feed
from headstart_server.training.metrics import metrics_of, smaller_is_better
from headstart_server.training.optimizer import set_rates
from headstart_server.training.precision import Precision
from headstart_server.training.reports import EpochReport, Metrics, Reporter
from headstart_server.training.running import Meter, Running
from headstart_server.training.schedule import Schedule


@dataclass(frozen=True)
class LoopSettings:
    """Resolved settings of one run."""

    epochs: int
    batch_size: int
    eval_batch_size: int
    accumulation: int
    clipping: tuple[str, float] | None
    """`clipglobalnorm`, `clipnorm` or `clipvalue`, and its size."""
    evaluate_training_set: bool
    early_stop: int
    """Epochs without improvement before stopping; 0: never."""
    validation_metric: str
    seed: int
    checkpoints: Path | None
    checkpoint_seconds: float = 0.0
    """Least time between two checkpoints; the last epoch always has one."""


class Loop:
    """One training on one process."""

    def __init__(
        self,
        model: ECD,
        feed: Feed,
        outputs: tuple[FittedFeature, ...],
        losses: Mapping[str, LossFunction],
        optimizer: Optimizer,
        schedule: Schedule,
        precision: Precision,
        settings: LoopSettings,
        reporter: Reporter,
    ) -> None:
        self.model, self.feed, self.outputs, self.losses = model, feed, outputs, losses
        self.optimizer, self.schedule, self.precision = optimizer, schedule, precision
        self.settings, self.reporter = settings, reporter
        self._direct = DirectAdam(optimizer) if precision.name != "fp16" and DirectAdam.suits(optimizer) else None
        self._parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        self.progress = Progress(0, 0, None, 0)
        self._saved = time.monotonic()
        self.best_state: dict[str, Tensor] = {}

    def run(self) -> EpochReport:
        """Trains to the end, loads the best epoch's weights and returns its report."""
        self._resume()
        for epoch in range(self.progress.epoch + 1, self.settings.epochs + 1):
            if 0 < self.settings.early_stop <= self.progress.epochs_without_improvement:
                break
            started = time.perf_counter()
            running, rate, waited = self._train_epoch(epoch)
            trained = time.perf_counter()
            report = self._evaluate_epoch(epoch, running, rate)
            report = replace(
                report,
                train_seconds=trained - started,
                evaluate_seconds=time.perf_counter() - trained,
                rows_per_second=self.feed.count(Part.TRAIN) / (trained - started),
                data_wait_seconds=waited,
                compute_seconds=trained - started - waited,
            )
            self._keep_best(report)
            self._save()
            self.reporter.epoch(
                replace(report, best=self.progress.best is not None and self.progress.best.epoch == epoch)
            )
        assert self.progress.best is not None
        self.model.load_learned_state(self.best_state)
        return self.progress.best

    def _train_epoch(self, epoch: int) -> tuple[Metrics, float, float]:
        """One pass over the training rows: the running aggregate, the last learning rate, seconds waited for data."""
        self.model.train()
        running = Running(self.outputs)
        batches = list(self.feed.shuffled(Part.TRAIN, self.settings.batch_size, self.settings.seed, epoch))
        rows_per_step = self.settings.batch_size * self.settings.accumulation
        meter = Meter(self.reporter, epoch, self.schedule.total_steps, rows_per_step)
        step, rate = self.progress.step, 0.0
        stream = Waited(self.feed.stream(batches, epoch))
        for index, (rows, batch, targets) in enumerate(stream, 1):
            with self.precision.autocast():
                logits = self.model(batch)
                loss = self._loss(logits, targets)
            summed = _summed(index, len(batches), self.settings.accumulation)
            self.precision.backward(loss if summed == 1 else loss / summed)
            if index % self.settings.accumulation == 0 or index == len(batches):
                rate = self._step(step)
                step += 1
            running.add(logits, targets, loss.detach(), len(rows))
            meter.note(step, loss.detach(), rate, len(rows))
            self.reporter.check()
        self.progress = replace(self.progress, step=step)
        return running.metrics(epoch), rate, stream.seconds

    def _step(self, step: int) -> float:
        rate = set_rates(self.optimizer, self.schedule.factor(step))
        if self.settings.clipping is not None:
            self.precision.unscale(self.optimizer)
            _clip(self.optimizer, *self.settings.clipping)
        if self._direct is not None:
            self._direct.step()
        else:
            self.precision.step(self.optimizer)
        for parameter in self._parameters:
            parameter.grad = None
        return rate

    def _loss(self, logits: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Tensor:
        parts = [loss(logits[name], targets[name]) for name, loss in self.losses.items()]
        return parts[0] if len(parts) == 1 else torch.stack(parts).sum()

    def evaluate(self, part: Part) -> Metrics:
        """Metrics of one part with the current weights; empty where the part is."""
        return self._metrics(*self.outputs_of(part)) if self.feed.count(part) else {}

    def outputs_of(self, part: Part) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """(logits, targets) of every row of a part, on the CPU."""
        self.model.eval()
        logits: dict[str, list[Tensor]] = {feature.name: [] for feature in self.outputs}
        targets: dict[str, list[Tensor]] = {feature.name: [] for feature in self.outputs}
        with torch.inference_mode():
            for _, batch, truth in self.feed.stream(self.feed.ordered(part, self.settings.eval_batch_size)):
                with self.precision.autocast():
                    found = self.model(batch)
                for name in logits:
                    logits[name].append(found[name].float().cpu())
                    targets[name].append(truth[name].cpu())
                self.reporter.check()
        return {name: torch.cat(parts) for name, parts in logits.items()}, {
            name: torch.cat(parts) for name, parts in targets.items()
        }

    def _metrics(self, logits: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Metrics:
        metrics: Metrics = {"loss": 0.0}
        for feature in self.outputs:
            loss = float(
                self.losses[feature.name](
                    logits[feature.name].to(self.feed.device), targets[feature.name].to(self.feed.device)
                )
            )
            metrics["loss"] += loss
            metrics[f"{feature.name}.loss"] = loss
            found = metrics_of(feature, logits[feature.name], targets[feature.name])
            metrics |= {f"{feature.name}.{name}": value for name, value in found.items()}
        return metrics

    def _evaluate_epoch(self, epoch: int, running: Metrics, rate: float) -> EpochReport:
        return EpochReport(
            epoch=epoch,
            step=self.progress.step,
            train=self.evaluate(Part.TRAIN) if self.settings.evaluate_training_set else running,
            validation=self.evaluate(Part.VALIDATION),
            test=self.evaluate(Part.TEST),
            learning_rate=rate,
        )

    def _keep_best(self, report: EpochReport) -> None:
        metric = self.settings.validation_metric
        value = report.validation.get(metric, math.nan)
        best = self.progress.best
        known = best.validation.get(metric, math.nan) if best else math.nan
        better = best is None or math.isnan(known) or (value < known if smaller_is_better(metric) else value > known)
        if better:
            self.best_state = {key: tensor.detach().cpu().clone() for key, tensor in self.model.learned_state().items()}
        self.progress = Progress(
            epoch=report.epoch,
            step=report.step,
            best=replace(report, best=True) if better else best,
            epochs_without_improvement=0 if better else self.progress.epochs_without_improvement + 1,
        )

    def _save(self) -> None:
        now, last = time.monotonic(), self.progress.epoch == self.settings.epochs
        if self.settings.checkpoints is not None and (last or now - self._saved >= self.settings.checkpoint_seconds):
            self._saved = now
            state = self.model.learned_state()
            running = RunningState(self.optimizer, self.precision.scaler)
            save_checkpoint(self.settings.checkpoints, self.progress, state, self.best_state, running)

    def _resume(self) -> None:
        checkpoint = load_checkpoint(self.settings.checkpoints) if self.settings.checkpoints is not None else None
        if checkpoint is None:
            return
        self.model.load_learned_state(checkpoint.model)
        RunningState(self.optimizer, self.precision.scaler).load(checkpoint.running)
        self.progress, self.best_state = checkpoint.progress, checkpoint.best
        self.reporter.warning(
            "RESUMED", f"training goes on after epoch {checkpoint.progress.epoch}, from its checkpoint"
        )


def _summed(index: int, batches: int, accumulation: int) -> int:
    """How many batches share the step of batch `index` (from 1): fewer than asked for at an epoch's end."""
    first = (index - 1) // accumulation * accumulation
    return min(accumulation, batches - first)


def _clip(optimizer: Optimizer, kind: str, size: float) -> None:
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if kind == "clipglobalnorm":
        torch.nn.utils.clip_grad_norm_(parameters, size)
    elif kind == "clipvalue":
        torch.nn.utils.clip_grad_value_(parameters, size)
    else:
        for parameter in parameters:
            torch.nn.utils.clip_grad_norm_(parameter, size)
