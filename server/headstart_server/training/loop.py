"""The loop: epochs, batches, forward, loss, step, evaluate, save, report."""

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
from headstart_server.training.parallel import Parallel, State
from headstart_server.training.passes import Pass, cut
from headstart_server.training.precision import Precision
from headstart_server.training.reports import EpochReport, Metrics, Reporter, WorkerReport
from headstart_server.training.running import Meter, Running
from headstart_server.training.schedule import Schedule
from headstart_server.training.selection import UNDEFINED, is_better, why_undefined
from headstart_server.training.stepping import Clipping, Stepper

_PAST_REPORTS = 1_000
"""Of processes, one for each and epoch: how many of the last a checkpoint keeps."""


@dataclass(frozen=True)
class LoopSettings:
    """Resolved settings of one run."""

    epochs: int
    batch_size: int
    """Rows of a batch in all processes together."""
    eval_batch_size: int
    accumulation: int
    clipping: Clipping | None
    evaluate_training_set: bool
    early_stop: int
    """Epochs without improvement before stopping; 0: never."""
    validation_metric: str
    seed: int
    checkpoints: SharedFolders | None
    pass_rows: int = 0
    """At most how many rows all processes together run at once; 0: a batch."""
    checkpoint_seconds: float = 0.0
    """Least time between two checkpoints; the last epoch always has one."""
    undefined_told: bool = False
    """Whether it is told already that the validation rows do not define the metric."""


@dataclass(frozen=True)
class _Epoch:
    """One process's pass over all training rows."""

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
        self._weighed: Tensor | None = None
        self._masses: dict[str, float] = {}
        """Of all rows of the step that was weighed last, by output."""

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
            report = self._keep_best(report)
            self._save()
            self.reporter.epoch(report)
        assert self.progress.best is not None
        self.parallel.restore(self.best_state)
        return self.progress.best

    def evaluate(self, part: Part) -> Metrics:
        """Metrics of one part with the current weights; empty where the part is."""
        return self.evaluator.evaluate(part)

    def _train_epoch(self, epoch: int) -> "_Epoch":
        """One pass over the training rows."""
        self.model.train()
        settings, schedule = self.settings, self._stepper.schedule
        running = Running(self.outputs, self.feed, self.world)
        batches = list(self.feed.shuffled(Part.TRAIN, settings.batch_size, settings.seed, epoch))
        passes = list(cut(batches, settings.accumulation, settings.pass_rows or settings.batch_size))
        portions = [self.world.portion(each.rows) for each in passes]
        meter = Meter(self.reporter, epoch, schedule.total_steps, settings.batch_size * settings.accumulation)
        step, rate, loaded = self.progress.step, 0.0, self.feed.load_seconds
        losses: list[Tensor] = []
        stream = Waited(self.feed.stream([rows for rows, _ in portions], epoch))
        for each, (_, counted), (_, batch, targets) in zip(passes, portions, stream, strict=True):
            with self.parallel.synced(each.last, idle=counted == 0):
                with self.precision.autocast():
                    logits = self.parallel(batch)
                    loss = self._loss(logits, targets, each, counted)
                # gradients are averaged over processes, whose losses add up to that of the step's rows
                self.parallel.backward(loss if self.world.size == 1 else loss * self.world.size, self.precision)
            if each.last:
                rate = self._stepper.step(step)
                step += 1
            losses.append(self._agreement.after(loss.detach()))
            running.add(each.rows, logits)
            if each.last:
                total = losses[0] if len(losses) == 1 else torch.stack(losses).sum()
                running.note(total, len(each.step_rows))
                meter.note(step, total, rate, len(each.step_rows))
                losses = []
                if step == 1:
                    self._require_same("after the first step")
        self.progress = replace(self.progress, step=step)
        rows = sum(counted for _, counted in portions)
        return _Epoch(running.metrics(epoch), rate, stream.seconds, rows, self.feed.load_seconds - loaded)

    def _loss(self, logits: Mapping[str, Tensor], targets: Mapping[str, Tensor], of: Pass, counted: int) -> Tensor:
        """One part of a step's loss: those of all processes and passes add up to the mean over the step's rows."""
        parts = [loss(logits[name], targets[name]) for name, loss in self.losses.items()]
        if counted < len(of.step_rows):
            shares = [self._share_of_mass(name, targets[name], of, counted) for name in self.losses]
            parts = [part * share for part, share in zip(parts, shares, strict=True)]
        return parts[0] if len(parts) == 1 else torch.stack(parts).sum()

    def _share_of_mass(self, name: str, targets: Tensor, of: Pass, counted: int) -> float:
        loss = self.losses[name]
        if loss.class_weights is None or counted == 0:
            return counted / len(of.step_rows)
        if self._weighed is not of.step_rows:
            self._weighed, self._masses = of.step_rows, {}
        if name not in self._masses:
            everybody = self.feed.targets[name].index_select(0, of.step_rows.to(self.feed.targets[name].device))
            self._masses[name] = loss.mass(everybody.to(targets.device))
        return loss.mass(targets) / self._masses[name]

    def _workers(self, passed: "_Epoch", seconds: float) -> list[WorkerReport]:
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

    def _evaluate_epoch(self, epoch: int, passed: "_Epoch") -> EpochReport:
        return EpochReport(
            epoch=epoch,
            step=self.progress.step,
            train=self.evaluate(Part.TRAIN) if self.settings.evaluate_training_set else passed.metrics,
            validation=self.evaluate(Part.VALIDATION),
            test=self.evaluate(Part.TEST),
            learning_rate=passed.rate,
        )

    def _keep_best(self, report: EpochReport) -> EpochReport:
        """Notes the epoch; returns its report, which says whether it is the best."""
        metric, best = self.settings.validation_metric, self.progress.best
        if best is None and not self.settings.undefined_told and (undefined := why_undefined(report, metric)):
            self.reporter.warning(UNDEFINED, undefined)
        better = is_better(report, best, metric)
        if better:
            self.best_state = self.parallel.snapshot()
        report = replace(report, best=better)
        kept = max(1, _PAST_REPORTS // self.world.size)
        self.progress = Progress(
            epoch=report.epoch,
            step=report.step,
            best=report if better else best,
            epochs_without_improvement=0 if better else self.progress.epochs_without_improvement + 1,
            past=[*self.progress.past, report][-kept:],
        )
        return report

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
        # steps are counted anew: a batch size that is fitted to the memory may be another one now
        steps = checkpoint.progress.epoch * self._stepper.schedule.steps_per_epoch
        self.progress, self.best_state = replace(checkpoint.progress, step=steps), best
        self.reporter.warning(
            "RESUMED", f"training goes on after epoch {checkpoint.progress.epoch}, from its checkpoint"
        )
        for report in checkpoint.progress.past:
            self.reporter.past(report)
