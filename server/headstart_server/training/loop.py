"""The loop: epochs, batches, forward, loss, step, evaluate, save, report."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b

import torch
from torch import Tensor
from torch.optim import Optimizer

from headstart_server.core.errors import PausedError
from headstart_server.core.reasons import Notice
from headstart_server.core.timing import Waited
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.parts import Part
from headstart_server.model.losses import Loss
from headstart_server.training import plateau
from headstart_server.training.checkpoint import (
    CheckpointState,
    Progress,
    RunningState,
    load_checkpoint,
    save_checkpoint,
)
from headstart_server.training.evaluation import Evaluator
from headstart_server.training.feed import Feed
from headstart_server.training.micro_batches import PassLimits, cut
from headstart_server.training.parallel.base import Parallel, State
from headstart_server.training.precision import Precision
from headstart_server.training.replica_check import require_same
from headstart_server.training.reports import EpochReport, JobWarning, Metrics, PastEpoch, Reporter, WorkerReport
from headstart_server.training.running import Meter, Running
from headstart_server.training.schedule import Schedule
from headstart_server.training.selection import UNDEFINED, is_better, why_undefined
from headstart_server.training.settings import LoopSettings
from headstart_server.training.step_loss import StepLoss
from headstart_server.training.step_pass import step_pass
from headstart_server.training.step_sync import StepSync
from headstart_server.training.stepping import Stepper


@dataclass(frozen=True)
class _Stretch:
    """One process's training between two evaluations: steps `start` to `stop` of an epoch."""

    epoch: int
    stop: int
    step: int
    """Steps of the run at its end."""

    metrics: Metrics
    """The running aggregate of all processes."""
    rate: float
    """The last learning rate."""
    waited: float
    """Seconds without data."""
    rows: int
    """Of all processes."""
    own_rows: int
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
        self._stepper = Stepper(
            self.optimizer, schedule, precision, clipping, settings.penalty, direct=not parallel.in_parts
        )
        self._step_sync = StepSync(self.world, reporter)
        self.evaluator = Evaluator(
            parallel, feed, outputs, losses, precision, settings.eval_batch_size, self._step_sync
        )
        self.progress = Progress(0, 0, None, 0)
        self._saved = time.monotonic()
        self.best_state: State = {}
        self._pass = step_pass(parallel, precision, StepLoss(losses, feed))

    def run(self) -> EpochReport:
        """Trains to the end, loads the best evaluation's weights and returns its report."""
        self.resume()
        for epoch, stop in self._stretches():
            # asked before a stretch, not after one: a run that goes on after an early stop trains no more steps
            if 0 < self.settings.early_stop <= self.progress.epochs_without_improvement:
                break
            self._train_and_evaluate(epoch, self.progress.into, stop)
        assert self.progress.best is not None
        self.parallel.restore(self.best_state)
        return self.progress.best

    def _stretches(self) -> Iterator[tuple[int, int]]:
        """What is left: the epoch, and after which of its steps is evaluated next."""
        timetable, into = self.settings.timetable, self.progress.into
        for epoch in range(self.progress.epoch + 1, timetable.last_epoch + 1):
            yield from ((epoch, stop) for stop in timetable.stops(epoch) if stop > into)
            # steps that are done are those of the first epoch alone
            into = 0

    def _train_and_evaluate(self, epoch: int, start: int, stop: int) -> None:
        self._seed(epoch, start)
        started = time.perf_counter()
        passed = self._train(epoch, start, stop)
        trained = time.perf_counter()
        # before the evaluation, which reads running statistics of norms: this makes them the same everywhere (`settle`)
        self._require_same(f"at the end of epoch {epoch}")
        report, workers = self._evaluated(passed), self._workers(passed, trained - started)
        report = replace(
            report,
            train_seconds=trained - started,
            evaluate_seconds=time.perf_counter() - trained,
            rows_per_second=passed.rows / (trained - started),
            data_wait_seconds=passed.waited,
            compute_seconds=trained - started - passed.waited,
            load_seconds=sum(worker["load_seconds"] for worker in workers) if workers else passed.loaded,
            workers=workers,
        )
        report = self._keep_best(report, passed)
        stops = self._save()
        # after the checkpoint: where the process dies in between, the next one tells it, as one of `Progress.past`
        self.reporter.report(report)
        if stops:
            raise PausedError("the training was paused at a checkpoint")

    def evaluate(self, part: Part) -> Metrics:
        """Metrics of one part with the current weights; empty where the part is."""
        return self.evaluator.evaluate(part)

    def _train(self, epoch: int, start: int, stop: int) -> _Stretch:
        """The steps of an epoch from `start` to `stop`."""
        self.model.train()
        settings, schedule = self.settings, self._stepper.schedule
        running, scale = Running(self.outputs, self.feed, self.world), self.progress.plateau.scale(settings.plateau)
        # the whole epoch is drawn again from (seed, epoch), whatever part of it is left to do
        batches = self._batches(epoch)[start * settings.accumulation : stop * settings.accumulation]
        # every process goes through all batches of the epoch, in one order, and runs its portion of each micro-batch
        lengths = self.feed.lengths() if settings.micro_batch_tokens else None
        limits = PassLimits(settings.micro_batch_rows or settings.batch_size, settings.micro_batch_tokens, lengths)
        passes = list(cut(batches, settings.accumulation, limits))
        portions = [self.world.portion(each.rows) for each in passes]
        rows_per_step = settings.batch_size * settings.accumulation
        meter = Meter(self.reporter, epoch, schedule.total_steps, rows_per_step, settings.report_seconds)
        step, rate, loaded = self.progress.step, 0.0, self.feed.load_seconds
        losses: list[Tensor] = []
        stream = Waited(self.feed.stream([rows for rows, _ in portions], epoch))
        for each, (_, counted), (_, batch, targets) in zip(passes, portions, stream, strict=True):
            logits, loss = self._pass(batch, targets, each, counted)
            if each.last:
                rate = self._stepper.step(step, scale)
                step += 1
            # nothing below waits for the device but what reads a loss: `Meter` does so a few times a second
            losses.append(self._step_sync.after(loss))
            running.add(each.rows, logits)
            if each.last:
                total = losses[0] if len(losses) == 1 else torch.stack(losses).sum()
                running.note(total, each.count)
                meter.note(step, total, rate, each.count)
                losses = []
                if step == 1:  # whatever differs between machines shows in the first step
                    self._require_same("after the first step")
        self.progress = replace(self.progress, step=step)
        rows, own_rows = sum(each.rows.shape[0] for each in passes), sum(counted for _, counted in portions)
        loaded = self.feed.load_seconds - loaded
        return _Stretch(epoch, stop, step, running.metrics(epoch), rate, stream.seconds, rows, own_rows, loaded)

    def _batches(self, epoch: int) -> list[Tensor]:
        settings = self.settings
        if not settings.shuffle:
            return list(self.feed.in_order(Part.TRAIN, settings.batch_size))
        return list(self.feed.shuffled(Part.TRAIN, settings.batch_size, settings.seed, epoch))

    def _workers(self, passed: _Stretch, seconds: float) -> list[WorkerReport]:
        """What each process did in this stretch."""
        if self.world.size == 1:
            return []
        loader = self.feed.images
        own: WorkerReport = {
            "rows": passed.own_rows,
            "rows_per_second": passed.own_rows / seconds,
            "data_wait_seconds": passed.waited,
            "load_seconds": passed.loaded,
            "image_workers": loader.workers if loader is not None else 0,
        }
        return self.world.all_gather_object(own)

    def _seed(self, epoch: int, start: int) -> None:
        """Random numbers of each process's own, which depend on (seed, epoch, rank) and the first step alone."""
        # alone, a process goes on with the numbers whose state a checkpoint has; it has no more than one process's
        if self.world.size > 1:
            what = f"{self.settings.seed},{epoch},{self.world.rank}" + (f",{start}" if start else "")
            drawn = blake2b(what.encode(), digest_size=8).digest()
            torch.manual_seed(int.from_bytes(drawn) >> 1)

    def _require_same(self, when: str) -> None:
        if self.world.size > 1:
            self.parallel.settle()
            require_same(self.world, self.parallel.wholes(self.parallel.snapshot()), when)

    def _evaluated(self, passed: _Stretch) -> EpochReport:
        return EpochReport(
            epoch=passed.epoch,
            step=passed.step,
            train=self.evaluate(Part.TRAIN) if self.settings.evaluate_training_set else passed.metrics,
            validation=self.evaluate(Part.VALIDATION),
            test=self.evaluate(Part.TEST),
            learning_rate=passed.rate,
            evaluation=self.progress.evaluation + 1,
            epochs=passed.epoch - 1 + passed.stop / self.settings.timetable.steps_per_epoch,
            validation_metric=self.settings.validation_metric,
        )

    def _keep_best(self, report: EpochReport, passed: _Stretch) -> EpochReport:
        """Notes the evaluation; returns its report, which says whether it is the best."""
        settings, before, best = self.settings, self.progress, self.progress.best
        # told once: which metrics the rows of a split define is the same at every evaluation
        first = best is None and not settings.undefined_warned
        if first and (undefined := why_undefined(report, settings.validation_metric)):
            self.reporter.report(JobWarning(UNDEFINED, undefined))
        if best is None and settings.plateau and (undefined := settings.plateau.why_undefined(report)):
            self.reporter.report(JobWarning(plateau.UNDEFINED, undefined))
        better = is_better(report, best, settings.validation_metric)
        if better:
            self.best_state = self.parallel.snapshot()
        report = replace(report, best=better)
        whole = passed.stop == settings.timetable.steps_per_epoch
        self.progress = Progress(
            epoch=report.epoch if whole else report.epoch - 1,
            step=report.step,
            best=report if better else best,
            epochs_without_improvement=0 if better else before.epochs_without_improvement + 1,
            past=[*before.past, report][-max(1, settings.past_reports // self.world.size) :],
            evaluation=report.evaluation,
            into=0 if whole else passed.stop,
            steps_per_epoch=settings.timetable.steps_per_epoch,
            plateau=before.plateau.after(report, settings.plateau) if settings.plateau else before.plateau,
        )
        return report

    def _save(self) -> bool:
        """Saves a checkpoint where one is due, or wanted; returns whether the run is to stop with it."""
        if self.settings.checkpoints is None:
            return False
        last = self.progress.step >= self.settings.timetable.total_steps
        stops = self.reporter.stopping() and not last  # a run that has done its steps ends
        due = last or stops or time.monotonic() - self._saved >= self.settings.checkpoint_seconds
        # by rank 0's clock: all processes take part in saving, so all have to do it at the same evaluation
        due, stops = self.world.broadcast_object((due, stops))
        if not due:
            return False
        self._saved = time.monotonic()
        parallel, running = self.parallel, RunningState(self.optimizer, self.precision.scaler)
        # in every process, also where rank 0 alone writes: of a model in parts, all of them put the tensors together
        state = CheckpointState(parallel.kept(parallel.snapshot()), parallel.kept(self.best_state), *running.save())
        folders, in_parts = self.settings.checkpoints, parallel.saves_in_parts
        save_checkpoint(folders, self.progress, state, self.world, in_parts=in_parts, run=self.settings.run)
        return bool(stops)

    def resume(self) -> None:
        folders = self.settings.checkpoints
        checkpoint = load_checkpoint(folders, self.settings.run) if folders is not None else None
        found = checkpoint.progress.name if checkpoint is not None else ""
        if found != self.world.broadcast_object(found):
            raise RuntimeError(f"rank {self.world.rank} reads another checkpoint than rank 0; is the folder shared?")
        if checkpoint is None:
            return
        allocator, running = self.parallel.allocator(), RunningState(self.optimizer, self.precision.scaler)
        model, best = (self.parallel.taken(checkpoint.read(part, allocator)) for part in ("model", "best"))
        self.parallel.restore(model)
        # this sets the generators of random numbers: nothing may draw from them between here and the first step
        running.load(checkpoint.read("running", running.allocate), checkpoint.values)
        whole = self.settings.timetable.steps_per_epoch
        self.progress, self.best_state = checkpoint.progress.continued(whole), best
        where = f" and {self.progress.into} steps" if self.progress.into else ""
        message = f"training goes on after epoch {self.progress.epoch}{where}, from its checkpoint"
        self.reporter.report(JobWarning(Notice.RESUMED, message))
        for report in checkpoint.progress.past:
            self.reporter.report(PastEpoch(report))
