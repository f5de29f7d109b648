"""The loop: epochs, batches, forward, loss, step, evaluate, save, report."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b

import torch
from torch import Tensor
from torch.optim import Optimizer

from headstart_server.core.timing import Waited
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.splits import Part
from headstart_server.model.losses import Loss
from headstart_server.storage.folders import SharedFolders
from headstart_server.training.agreement import Agreement
from headstart_server.training.checkpoint import Kept, Progress, RunningState, load_checkpoint, save_checkpoint
from headstart_server.training.evaluation import Evaluator
from headstart_server.training.feed import Feed
from headstart_server.training.honesty import require_same
from headstart_server.training.metrics import smaller_is_better
from headstart_server.training.parallel import Parallel, State
from headstart_server.training.precision import Precision
from headstart_server.training.reports import EpochReport, Metrics, Reporter, WorkerReport
from headstart_server.training.running import Meter, Running
from headstart_server.training.schedule import Schedule
from headstart_server.training.stepping import Clipping, Stepper


@dataclass(frozen=True)
class LoopSettings:
    """Resolved settings of one run."""

    epochs: int
    batch_size: int
    """Rows of one forward pass in all processes together."""
    eval_batch_size: int
    accumulation: int
    clipping: Clipping | None
    evaluate_training_set: bool
    early_stop: int
    """Epochs without improvement before stopping; 0: never."""
    validation_metric: str
    seed: int
    checkpoints: SharedFolders | None
    checkpoint_seconds: float = 0.0
    """Least time between two checkpoints; the last epoch always has one."""


@dataclass(frozen=True)
class _Pass:
    """One process's pass over the training rows."""

    metrics: Metrics
    """The running aggregate of all processes."""
    rate: float
    """The last learning rate."""
    waited: float
    """Seconds without data."""
    rows: int
    """Its own rows."""
    loaded: float
    """Seconds that were spent on loading its images."""


class Loop:
    """One training, as each process of its world runs it: every process the same batches, each its rows of them."""

    def __init__(
        self,
        parallel: Parallel,
        feed: Feed,
        outputs: tuple[FittedFeature, ...],
        losses: Mapping[str, Loss],
        optimizer: Optimizer,
        schedule: Schedule,
        precision: Precision,
        settings: LoopSettings,
        reporter: Reporter,
    ) -> None:
        self.parallel, self.model, self.world = parallel, parallel.model, parallel.world
        self.feed, self.outputs, self.losses = feed, outputs, losses
        self.optimizer = parallel.adopt(optimizer, settings.clipping)
        self.precision, self.settings, self.reporter = precision, settings, reporter
        clipping = None if parallel.clips else settings.clipping
        self._stepper = Stepper(self.optimizer, schedule, precision, clipping, direct=not parallel.in_parts)
        self._agreement = Agreement(self.world, reporter)
        self.evaluator = Evaluator(
            parallel, feed, outputs, losses, precision, settings.eval_batch_size, self._agreement
        )
        self.progress = Progress(0, 0, None, 0)
        self._saved = time.monotonic()
        self.best_state: State = {}

    def run(self) -> EpochReport:
        """Trains to the end, loads the best epoch's weights and returns its report."""
        self._resume()
        for epoch in range(self.progress.epoch + 1, self.settings.epochs + 1):
            if 0 < self.settings.early_stop <= self.progress.epochs_without_improvement:
                break
            self._seed(epoch)
            started = time.perf_counter()
            passed = self._train_epoch(epoch)
            trained = time.perf_counter()
            self._require_same(f"at the end of epoch {epoch}")
            report, workers = self._evaluate_epoch(epoch, passed), self._workers(passed, trained - started)
            report = replace(
                report,
                train_seconds=trained - started,
                evaluate_seconds=time.perf_counter() - trained,
                rows_per_second=self.feed.count(Part.TRAIN) / (trained - started),
                data_wait_seconds=passed.waited,
                compute_seconds=trained - started - passed.waited,
                load_seconds=sum(worker["load_seconds"] for worker in workers) if workers else passed.loaded,
                workers=workers,
            )
            self._keep_best(report)
            self._save()
            self.reporter.epoch(
                replace(report, best=self.progress.best is not None and self.progress.best.epoch == epoch)
            )
        assert self.progress.best is not None
        self.parallel.restore(self.best_state)
        return self.progress.best

    def evaluate(self, part: Part) -> Metrics:
        """Metrics of one part with the current weights; empty where the part is."""
        return self.evaluator.evaluate(part)

    def _train_epoch(self, epoch: int) -> "_Pass":
        """One pass over the training rows."""
        self.model.train()
        running = Running(self.outputs, self.feed, self.world)
        batches = list(self.feed.shuffled(Part.TRAIN, self.settings.batch_size, self.settings.seed, epoch))
        portions = [self.world.portion(rows) for rows in batches]
        rows_per_step = self.settings.batch_size * self.settings.accumulation
        meter = Meter(self.reporter, epoch, self._stepper.schedule.total_steps, rows_per_step)
        step, rate, loaded = self.progress.step, 0.0, self.feed.load_seconds
        stream = Waited(self.feed.stream([rows for rows, _ in portions], epoch))
        for index, (rows, (_, batch, targets)) in enumerate(zip(batches, stream, strict=True), 1):
            steps = index % self.settings.accumulation == 0 or index == len(batches)
            with self.parallel.synced(steps, idle=portions[index - 1][1] == 0):
                with self.precision.autocast():
                    logits = self.parallel(batch)
                    loss = self._loss(logits, targets, rows)
                # gradients are averaged over processes, whose losses add up to that of all rows
                divisor = _summed(index, len(batches), self.settings.accumulation) / self.world.size
                self.parallel.backward(loss if divisor == 1 else loss / divisor, self.precision)
            if steps:
                rate = self._stepper.step(step)
                step += 1
            total = self._agreement.after(loss.detach())
            running.add(rows, logits, total)
            meter.note(step, total, rate, len(rows))
            if step == 1 and steps:
                self._require_same("after the first step")
        self.progress = replace(self.progress, step=step)
        loaded = self.feed.load_seconds - loaded
        return _Pass(running.metrics(epoch), rate, stream.seconds, sum(count for _, count in portions), loaded)

    def _loss(self, logits: Mapping[str, Tensor], targets: Mapping[str, Tensor], rows: Tensor) -> Tensor:
        """This process's part of the loss: the parts of all add up to the mean over `rows`, the whole batch."""
        parts = [loss(logits[name], targets[name]) for name, loss in self.losses.items()]
        if self.world.size > 1:
            shares = [self._share_of_mass(name, targets[name], rows) for name in self.losses]
            parts = [part * share for part, share in zip(parts, shares, strict=True)]
        return parts[0] if len(parts) == 1 else torch.stack(parts).sum()

    def _share_of_mass(self, name: str, targets: Tensor, rows: Tensor) -> float:
        loss, (_, count) = self.losses[name], self.world.portion(rows)
        if loss.class_weights is None or count == 0:
            return count / len(rows)
        everybody = self.feed.targets[name].index_select(0, rows.to(self.feed.targets[name].device))
        return loss.mass(targets) / loss.mass(everybody.to(targets.device))

    def _workers(self, passed: "_Pass", seconds: float) -> list[WorkerReport]:
        """What each process did in this epoch."""
        if self.world.size == 1:
            return []
        loader = self.feed.images
        own: WorkerReport = {
            "rows": passed.rows,
            "rows_per_second": passed.rows / seconds,
            "data_wait_seconds": passed.waited,
            "load_seconds": passed.loaded,
            "image_workers": loader.workers if loader is not None else 0,
        }
        return self.world.heard(own)

    def _seed(self, epoch: int) -> None:
        """Random numbers of each process's own, which depend on (seed, epoch, rank) alone."""
        if self.world.size > 1:
            drawn = blake2b(f"{self.settings.seed},{epoch},{self.world.rank}".encode(), digest_size=8).digest()
            torch.manual_seed(int.from_bytes(drawn) >> 1)

    def _require_same(self, when: str) -> None:
        if self.world.size > 1:
            self.parallel.settle()
            require_same(self.world, self.parallel.wholes(self.parallel.snapshot()), when)

    def _evaluate_epoch(self, epoch: int, passed: "_Pass") -> EpochReport:
        return EpochReport(
            epoch=epoch,
            step=self.progress.step,
            train=self.evaluate(Part.TRAIN) if self.settings.evaluate_training_set else passed.metrics,
            validation=self.evaluate(Part.VALIDATION),
            test=self.evaluate(Part.TEST),
            learning_rate=passed.rate,
        )

    def _keep_best(self, report: EpochReport) -> None:
        metric = self.settings.validation_metric
        value = report.validation.get(metric, math.nan)
        best = self.progress.best
        known = best.validation.get(metric, math.nan) if best else math.nan
        better = best is None or math.isnan(known) or (value < known if smaller_is_better(metric) else value > known)
        if better:
            self.best_state = self.parallel.snapshot()
        self.progress = Progress(
            epoch=report.epoch,
            step=report.step,
            best=replace(report, best=True) if better else best,
            epochs_without_improvement=0 if better else self.progress.epochs_without_improvement + 1,
        )

    def _save(self) -> None:
        if self.settings.checkpoints is None:
            return
        now, last = time.monotonic(), self.progress.epoch == self.settings.epochs
        if not self.world.told(last or now - self._saved >= self.settings.checkpoint_seconds):
            return
        self._saved = now
        parallel, running = self.parallel, RunningState(self.optimizer, self.precision.scaler)
        kept = Kept(parallel.kept(parallel.snapshot()), parallel.kept(self.best_state), *running.save())
        save_checkpoint(self.settings.checkpoints, self.progress, kept, self.world, in_parts=parallel.saves_in_parts)

    def _resume(self) -> None:
        checkpoint = load_checkpoint(self.settings.checkpoints) if self.settings.checkpoints is not None else None
        found = checkpoint.progress.epoch if checkpoint is not None else 0
        if found != self.world.told(found):
            raise RuntimeError(f"rank {self.world.rank} reads another checkpoint than rank 0; is the folder shared?")
        if checkpoint is None:
            return
        rooms, running = self.parallel.rooms(), RunningState(self.optimizer, self.precision.scaler)
        model, best = (self.parallel.taken(checkpoint.read(part, rooms)) for part in ("model", "best"))
        self.parallel.restore(model)
        running.load(checkpoint.read("running", running.room), checkpoint.values)
        self.progress, self.best_state = checkpoint.progress, best
        self.reporter.warning(
            "RESUMED", f"training goes on after epoch {checkpoint.progress.epoch}, from its checkpoint"
        )


def _summed(index: int, batches: int, accumulation: int) -> int:
    """How many batches share the step of batch `index` (from 1): fewer than asked for at an epoch's end."""
    first = (index - 1) // accumulation * accumulation
    return min(accumulation, batches - first)
