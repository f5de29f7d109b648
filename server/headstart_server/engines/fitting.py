"""Trains the model of a prepared job, alone or together with the other processes of a world."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from headstart_server.core.digests import fingerprint
from headstart_server.core.errors import TrainingFailedError
from headstart_server.core.memory import ran_out_of_memory
from headstart_server.core.reasons import Reason
from headstart_server.data.images.loader import local_loader
from headstart_server.data.parts import Part
from headstart_server.encoders.tuning import Tuning
from headstart_server.engines.assembly import Assembly, Loading
from headstart_server.engines.listener import Listener
from headstart_server.engines.preparing import Prepared
from headstart_server.engines.runtime_context import RuntimeContext
from headstart_server.engines.stored_inputs import StoredInput
from headstart_server.engines.training_encoders import prepare_encoders, restore_encoders
from headstart_server.engines.tried import Fold, Tried, trial_parts
from headstart_server.engines.tuning import fitting_batch_size, pass_tokens
from headstart_server.model.ecd import ECD
from headstart_server.model.losses import build_loss
from headstart_server.model.scored_head import FittedHead
from headstart_server.model.tree_head import TreeHead
from headstart_server.model.world import World
from headstart_server.planning.notes import metric_notes
from headstart_server.planning.resolution import Origin
from headstart_server.training.boosting import boost
from headstart_server.training.calibration import rows_to_fit, temperature_that_helps
from headstart_server.training.feed import Feed
from headstart_server.training.loop import Loop
from headstart_server.training.one_fit import fit_once
from headstart_server.training.optimizer import build_optimizer
from headstart_server.training.output_evaluation import OutputEvaluation
from headstart_server.training.outputs import load_metrics
from headstart_server.training.parallel.base import Parallel, Sharing
from headstart_server.training.parallel.strategies import parallelise
from headstart_server.training.precision import Precision
from headstart_server.training.reports import APPROXIMATE, EpochReport, JobWarning, Metrics
from headstart_server.training.settings import LoopSettings
from headstart_server.training.threads import fitting_threads
from headstart_server.training.timetable import Timetable

_CHECKPOINT_SECONDS = 1.0
"""An epoch of milliseconds is sooner trained again than synced to a disk."""


@dataclass(frozen=True)
class Fitted:
    """A trained model."""

    model: ECD
    """Of the best evaluation, whole in rank 0."""
    report: EpochReport
    evaluation: list[OutputEvaluation]
    """How it answers test rows, or validation rows where there are none; in rank 0 alone."""


class Fitting:
    """One process's part of a training."""

    def __init__(
        self,
        prepared: Prepared,
        stored: Mapping[str, StoredInput],
        runtime: RuntimeContext,
        listener: Listener,
        world: World | None = None,
        loading: Loading = local_loader,
    ) -> None:
        self._prepared, self._runtime, self._listener = prepared, runtime, listener
        self._world, self._trainer = world or World(), prepared.plan.trainer
        plan = prepared.plan
        self._assembly = Assembly(plan.spec, plan.inputs, plan.data, stored, runtime, loading, plan.initial)
        data, device, rows = plan.data, runtime.device, plan.data.rows(Part.TRAIN)
        self._losses = {
            feature.name: build_loss(feature, device, data.arrays[feature.name][rows]) for feature in data.outputs
        }
        self._precision = Precision(prepared.plan.trainer.precision, device)
        self._encoder_runs = any(not plan.cached for plan in prepared.plan.inputs.values())

    def run(self) -> Fitted:
        """Trains."""
        # anew, so that a model's first weights do not depend on what was drawn while rows were prepared and encoded
        torch.manual_seed(self._trainer.seed)
        if self._world.leads:
            # before the first epoch, whose time they would count in
            load_metrics()
        with memory_named(self._runtime, self._trainer.batch_size):
            model = self._assembly.model(in_parts=self._prepared.plan.backend.strategy == "fsdp")
            feed = self._assembly.feed(model)
            prepare_encoders(model, feed, self._prepared.plan)
            try:
                parallel, report, evaluation = self._fit(model, feed)
            finally:
                feed.close()
        whole = self._whole_model(parallel)
        restore_encoders(whole)
        return Fitted(whole, report, evaluation)

    def try_out(self, share: float, fold: Fold | None = None, common: Tensor | None = None) -> Tried:
        """Trains on a share of the training rows, alone; nothing is tested, calibrated or kept. See `trial_parts`."""
        torch.manual_seed(self._trainer.seed)
        with memory_named(self._runtime, self._trainer.batch_size):
            model = self._assembly.model()
            feed = self._assembly.feed(model)
            try:
                own = replace(feed, parts=trial_parts(feed.parts, share, fold, self._trainer.seed, common))
                parallel = parallelise(model, self._world, Sharing("ddp"))
                batch_size = self._batch_size(parallel, own)
                loop = self._loop(parallel, own, batch_size)
                with fitting_threads(model, batch_size, encoder_runs=self._encoder_runs):
                    report = self._trained(loop)
                    return Tried.of(report, model, own, loop.evaluator, self._prepared.plan.data.outputs)
            finally:
                feed.close()

    def _fit(self, model: ECD, feed: Feed) -> tuple[Parallel, EpochReport, list[OutputEvaluation]]:
        backend, half = self._prepared.plan.backend, self._precision.name == "bf16"
        sharing = Sharing(
            backend.strategy,
            backend.zero_stage,
            recompute=backend.recompute,
            offload=backend.offload,
            in_passes=self._world.size < backend.workers,
            half=half,
        )
        parallel = parallelise(model, self._world, sharing)
        # on the model as it will run, in parts where it is; the optimizer is built over its parameters afterwards
        batch_size = self._batch_size(parallel, feed)
        self._compile(model)
        loop = self._loop(parallel, feed, batch_size)
        with fitting_threads(model, batch_size, encoder_runs=self._encoder_runs):
            report = self._trained(loop)
            self._calibrate(loop)
            test, evaluation = self._test_as_predict(loop)
        return parallel, replace(report, test=test), evaluation

    def _trained(self, loop: Loop) -> EpochReport:
        """The report of the best evaluation, whose weights the model has at the end."""
        match loop.model.head:
            case TreeHead() as head:
                assert self._trainer.boosting is not None
                return boost(loop, head, self._trainer.boosting)
            case FittedHead() as head:
                return fit_once(loop, head)
            case _:
                return loop.run()

    def _batch_size(self, parallel: Parallel, feed: Feed) -> int:
        """Rows that each process runs at once: as many as the one with the least memory can take, at most a batch."""
        wanted = self._trainer.batch_size
        if self._trainer.batch_size_given or not feed.runs_encoders:
            return wanted
        fit = fitting_batch_size(parallel, feed, self._losses, self._precision, wanted)
        size = self._world.all_reduce_min(fit.size)
        reason = f"{fit.bytes_per_row / 2**20:.1f} MiB of activations per row of the longest; the rule's {wanted} "
        reason += "fits" if size == wanted else "does not fit in half of the free memory"
        # the rows of an elastic job's step depend on nobody's memory, which decides on the passes alone
        kept = wanted if self._prepared.plan.backend.elastic else size
        reason += f", so it takes several passes of {size}" if size < kept else ""
        self._prepared.plan.resolution.record("trainer.batch_size", kept, Origin.MEASURED, reason)
        self._prepared.report(self._listener)
        return size

    def _compile(self, model: ECD) -> None:
        """Compiles the encoders in place, so that their state keeps its names."""
        if self._trainer.compile:
            for item in model.pretrained().values():
                if not item.skipped:
                    item.encoder.compile(dynamic=True)

    def _loop(self, parallel: Parallel, feed: Feed, own_rows: int) -> Loop:
        """`own_rows` is what each process runs at once. A batch is what all would that were asked for: where there are
        fewer, they run it in several passes, and learn the same, however much memory they have."""
        trainer, backend = self._trainer, self._prepared.plan.backend
        batch_size = (trainer.batch_size if backend.elastic else own_rows) * backend.workers
        batches = -(-feed.count(Part.TRAIN) // batch_size)
        steps = -(-batches // trainer.accumulation)
        timetable = Timetable(
            trainer.epochs, steps, trainer.train_steps, trainer.steps_per_checkpoint, trainer.checkpoints_per_epoch
        )
        optimizer = build_optimizer(
            parallel.model,
            self._prepared.plan.spec.trainer.optimizer,
            trainer.learning_rate,
            trainer.head_learning_rate,
            fused=not parallel.in_parts,
        )
        settings = self._settings(timetable, batch_size, own_rows, self._pass_tokens(parallel, feed))
        outputs = self._prepared.plan.data.outputs
        return Loop(
            parallel,
            feed,
            outputs,
            self._losses,
            optimizer,
            trainer.schedule.over(timetable),
            self._precision,
            settings,
            self._listener,
        )

    def _pass_tokens(self, parallel: Parallel, feed: Feed) -> int:
        """Tokens that each process runs at once; 0: those of a batch, where more learns than adapters."""
        tunings = [plan.tuning for plan in self._prepared.plan.inputs.values()]
        if Tuning.ADAPTER not in tunings or not all(each.shares_weights for each in tunings) or not feed.tokens:
            return 0
        return self._world.all_reduce_min(pass_tokens(parallel, feed, self._losses, self._precision))

    def _settings(self, timetable: Timetable, batch_size: int, own_rows: int, own_tokens: int) -> LoopSettings:
        trainer = self._trainer
        # the rows of a step stay as they are: memory that ran out changes the passes alone
        pass_rows = max(1, own_rows >> self._prepared.job.halvings)
        return LoopSettings(
            timetable=timetable,
            batch_size=batch_size,
            eval_batch_size=max(1, trainer.eval_batch_size >> self._prepared.job.halvings) * self._world.size,
            accumulation=trainer.accumulation,
            clipping=trainer.clipping,
            evaluate_training_set=trainer.evaluate_training_set,
            early_stop=trainer.early_stop,
            validation_metric=trainer.validation_metric,
            seed=trainer.seed,
            checkpoints=self._runtime.storage.checkpoints(self._prepared.job.identifier)
            if trainer.checkpoint
            else None,
            run=fingerprint(self._prepared.job.spec.compact()),
            micro_batch_rows=pass_rows * self._world.size,
            micro_batch_tokens=(own_tokens >> self._prepared.job.halvings) * self._world.size,
            checkpoint_seconds=_CHECKPOINT_SECONDS,
            undefined_warned=bool(metric_notes(self._prepared.plan.data, trainer)),
            shuffle=trainer.shuffle,
            penalty=trainer.penalty,
            plateau=trainer.schedule.plateau,
        )

    def _calibrate(self, loop: Loop) -> None:
        outputs = self._prepared.plan.data.outputs
        wanted = [each for each in outputs if each.spec.type in ("category", "binary")]
        wanted = [each for each in wanted if each.spec.decoder.calibration is not False]
        if not wanted:
            return
        most_rows = rows_to_fit(max(len(feature.classes) for feature in wanted))
        logits, targets = loop.evaluator.outputs_of(Part.VALIDATION, most_rows)
        for feature in wanted:
            temperature = temperature_that_helps(logits[feature.name], targets[feature.name])
            # rank 0's: fitted to the same rows everywhere, but other machines may round otherwise
            loop.model.head.calibrate(feature.name, self._world.broadcast_object(temperature))

    def _test_as_predict(self, loop: Loop) -> tuple[Metrics, list[OutputEvaluation]]:
        """Test metrics of what Predict will answer, as far as the backend computes in fp32, and what stands behind
        them; of jobs without test rows the latter alone, of validation rows."""
        strategy, half = self._prepared.plan.backend.strategy, self._precision.name != "fp32"
        if half and strategy in ("fsdp", "deepspeed") and loop.feed.count(Part.TEST):
            message = (
                f"the model's test metrics are measured in {self._precision.name}, in which {strategy} keeps "
                "computing, and Predict answers in fp32; where that matters, let Predict answer the test rows"
            )
            self._listener.report(JobWarning(APPROXIMATE, message))
        # a compiled encoder would be compiled again for fp32, for a single pass
        with torch.compiler.set_stance("force_eager") if self._trainer.compile else nullcontext():
            if loop.feed.count(Part.TEST):
                return loop.evaluator.evaluate_as_predict(Part.TEST)
            return {}, loop.evaluator.evaluate_as_predict(Part.VALIDATION)[1]

    def _whole_model(self, parallel: Parallel) -> ECD:
        """The model on the CPU: itself, or in rank 0 one built anew where every process holds a part of it."""
        if not parallel.in_parts:
            return parallel.model.cpu()
        # all processes go through all tensors, as each has a part of them; rank 0 alone keeps what they give
        state = {key: whole for key, whole in parallel.wholes(parallel.snapshot()) if self._world.leads}
        if not self._world.leads:
            return parallel.model
        model = self._assembly.model(in_parts=True)
        # into deferred encoders, on the meta device, nothing can be copied
        model.load_learned_state(state, assign=True)
        for item in model.pretrained().values():
            item.tie()
        return model.cpu()


@contextmanager
def memory_named(runtime: RuntimeContext, batch_size: int) -> Iterator[None]:
    """Raises TrainingFailedError, with what to do, for whatever inside fails for lack of memory."""
    try:
        yield
    except (RuntimeError, MemoryError, OSError) as error:
        if not ran_out_of_memory(error):
            raise
        raise TrainingFailedError(
            f"out of memory on {runtime.device} at batch size {batch_size}; lower "
            "trainer.batch_size or max_sequence_length, or raise trainer.gradient_accumulation_steps",
            reason=Reason.OUT_OF_MEMORY,
            field="trainer.batch_size",
        ) from error
