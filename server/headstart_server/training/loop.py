"""The loop: epochs, batches, forward, loss, step, evaluate, save, report."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.optim import Optimizer

from headstart_server.core.errors import TrainingFailedError
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.splits import Part
from headstart_server.model.ecd import ECD
from headstart_server.model.losses import LossFunction
from headstart_server.training.checkpoint import Progress, load_checkpoint, restore_optimizer, save_checkpoint
from headstart_server.training.feed import Feed
from headstart_server.training.metrics import metrics_of, smaller_is_better
from headstart_server.training.optimizer import set_rates
from headstart_server.training.precision import Precision
from headstart_server.training.reports import EpochReport, Metrics, Reporter, StepReport
from headstart_server.training.schedule import Schedule

_REPORT_SECONDS = 0.25
_RUNNING_VALUES = 50_000_000


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
        self.progress = Progress(0, 0, None, 0)
        self.best_state: dict[str, Tensor] = {}

    def run(self) -> EpochReport:
        """Trains to the end, loads the best epoch's weights and returns its report."""
        self._resume()
        for epoch in range(self.progress.epoch + 1, self.settings.epochs + 1):
            if 0 < self.settings.early_stop <= self.progress.epochs_without_improvement:
                break
            started = time.perf_counter()
            running, rate = self._train_epoch(epoch)
            trained = time.perf_counter()
            report = self._evaluate_epoch(epoch, running, rate)
            report = replace(
                report,
                train_seconds=trained - started,
                evaluate_seconds=time.perf_counter() - trained,
                rows_per_second=self.feed.count(Part.TRAIN) / (trained - started),
            )
            self._keep_best(report)
            self._save()
            self.reporter.epoch(
                replace(report, best=self.progress.best is not None and self.progress.best.epoch == epoch)
            )
        assert self.progress.best is not None
        self.model.load_learned_state(self.best_state)
        return self.progress.best

    def _train_epoch(self, epoch: int) -> tuple[Metrics, float]:
        """One pass over the training rows; returns the running aggregate and the last learning rate."""
        self.model.train()
        running = _Running(self.outputs)
        batches = list(self.feed.shuffled(Part.TRAIN, self.settings.batch_size, self.settings.seed, epoch))
        meter = _Meter(self, epoch)
        step, rate = self.progress.step, 0.0
        for index, rows in enumerate(batches, 1):
            batch, targets = self.feed.take(rows)
            with self.precision.autocast():
                logits = self.model(batch)
                loss = self._loss(logits, targets)
            self.precision.backward(loss / self.settings.accumulation if self.settings.accumulation > 1 else loss)
            if index % self.settings.accumulation == 0 or index == len(batches):
                rate = self._step(step)
                step += 1
            running.add(logits, targets, loss.detach(), len(rows))
            meter.report(step, loss.detach(), rate, len(rows))
            self.reporter.check()
        self.progress = replace(self.progress, step=step)
        metrics = running.metrics()
        self._require_finite(metrics["loss"], epoch)
        return metrics, rate

    def _step(self, step: int) -> float:
        rate = set_rates(self.optimizer, self.schedule.factor(step))
        if self.settings.clipping is not None:
            self.precision.unscale(self.optimizer)
            _clip(self.optimizer, *self.settings.clipping)
        self.precision.step(self.optimizer)
        self.optimizer.zero_grad(set_to_none=True)
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
            for rows in self.feed.ordered(part, self.settings.eval_batch_size):
                batch, truth = self.feed.take(rows)
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
        if self.settings.checkpoints is not None:
            state = self.model.learned_state()
            save_checkpoint(self.settings.checkpoints, self.progress, state, self.best_state, self.optimizer)

    def _resume(self) -> None:
        checkpoint = load_checkpoint(self.settings.checkpoints) if self.settings.checkpoints is not None else None
        if checkpoint is None:
            return
        self.model.load_learned_state(checkpoint.model)
        restore_optimizer(self.optimizer, checkpoint.optimizer)
        torch.set_rng_state(checkpoint.rng)
        self.progress, self.best_state = checkpoint.progress, checkpoint.best
        self.reporter.warning(
            "RESUMED", f"training goes on after epoch {checkpoint.progress.epoch}, from its checkpoint"
        )

    def _require_finite(self, loss: float, epoch: int) -> None:
        if not math.isfinite(loss):
            raise TrainingFailedError(
                f"the training loss became {loss} in epoch {epoch}; lower trainer.learning_rate, set "
                "trainer.gradient_clipping.clipglobalnorm, or turn trainer.use_mixed_precision off",
                reason="NON_FINITE_LOSS",
                field="trainer.learning_rate",
            )


class _Running:
    """The running aggregate of an epoch: mean loss, and metrics of what the model said while it learned."""

    def __init__(self, outputs: tuple[FittedFeature, ...]) -> None:
        self._outputs = outputs
        self._budget = _RUNNING_VALUES
        self._logits: dict[str, list[Tensor]] = {feature.name: [] for feature in outputs}
        self._targets: dict[str, list[Tensor]] = {feature.name: [] for feature in outputs}
        self._losses: list[Tensor] = []
        self._rows: list[int] = []

    def add(self, logits: Mapping[str, Tensor], targets: Mapping[str, Tensor], loss: Tensor, rows: int) -> None:
        """Takes note of one step."""
        self._losses.append(loss)
        self._rows.append(rows)
        if self._budget > 0:
            for name in self._logits:
                self._logits[name].append(logits[name].detach())
                self._targets[name].append(targets[name])
                self._budget -= logits[name].numel()

    def metrics(self) -> Metrics:
        """Metrics of the epoch."""
        rows = torch.tensor(self._rows, dtype=torch.float32)
        metrics: Metrics = {"loss": float((torch.stack(self._losses).float().cpu() * rows).sum() / rows.sum())}
        for feature in self._outputs:
            logits, targets = torch.cat(self._logits[feature.name]).cpu(), torch.cat(self._targets[feature.name]).cpu()
            metrics |= {f"{feature.name}.{name}": value for name, value in metrics_of(feature, logits, targets).items()}
        return metrics


class _Meter:
    """Reports steps a few times a second."""

    def __init__(self, loop: Loop, epoch: int) -> None:
        self._loop, self._epoch = loop, epoch
        self._since = time.perf_counter()
        self._losses: list[Tensor] = []
        self._rows = 0
        self._first_step = loop.progress.step

    def report(self, step: int, loss: Tensor, rate: float, rows: int) -> None:
        self._losses.append(loss)
        self._rows += rows
        now = time.perf_counter()
        if now - self._since < _REPORT_SECONDS:
            return
        speed = self._rows / (now - self._since)
        total = self._loop.schedule.total_steps
        rows_left = (total - step) * self._loop.settings.batch_size * self._loop.settings.accumulation
        loss_mean = float(torch.stack(self._losses).mean())
        self._loop._require_finite(loss_mean, self._epoch)
        self._loop.reporter.step(StepReport(self._epoch, step, total, loss_mean, rate, speed, rows_left / speed))
        self._since, self._losses, self._rows = now, [], 0


def _clip(optimizer: Optimizer, kind: str, size: float) -> None:
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if kind == "clipglobalnorm":
        torch.nn.utils.clip_grad_norm_(parameters, size)
    elif kind == "clipvalue":
        torch.nn.utils.clip_grad_value_(parameters, size)
    else:
        for parameter in parameters:
            torch.nn.utils.clip_grad_norm_(parameter, size)
