"""The local engine: one job on one process, from tables to a published model."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path

import torch

from headstart_server.core.errors import TrainingFailedError
from headstart_server.core.memory import ran_out_of_memory
from headstart_server.core.names import new_id
from headstart_server.data.dataset import PreparedData, prepare
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.splits import Part
from headstart_server.data.tables import Sources
from headstart_server.engines.assembly import Assembly
from headstart_server.engines.sample import sample_of
from headstart_server.engines.stored import StoredInput, StoredInputs
from headstart_server.engines.tuning import fitting_batch_size
from headstart_server.engines.workplace import Listener, RowCounts, Workplace
from headstart_server.model.bundle import save_bundle
from headstart_server.model.ecd import ECD
from headstart_server.model.losses import LossFunction, build_loss
from headstart_server.planning.inputs import plan_inputs
from headstart_server.planning.pretrained import PretrainedPlan
from headstart_server.planning.resolution import Origin, Resolution
from headstart_server.planning.trainer import TrainerPlan, plan_trainer, seed_of
from headstart_server.spec.defaults import apply_defaults
from headstart_server.spec.model import TrainSpec
from headstart_server.training.calibration import fit_temperature
from headstart_server.training.feed import Feed
from headstart_server.training.loop import Loop, LoopSettings
from headstart_server.training.optimizer import build_optimizer
from headstart_server.training.precision import Precision
from headstart_server.training.reports import EpochReport
from headstart_server.training.schedule import Schedule
from headstart_server.training.threads import fitting_threads

_CHECKPOINT_SECONDS = 1.0
"""An epoch of milliseconds is sooner trained again than synced to a disk."""


@dataclass(frozen=True)
class Assignment:
    """One job as an engine gets it."""

    identifier: str
    display_name: str
    spec: TrainSpec
    sources: Sources


class LocalEngine:
    """Runs one assignment in this process."""

    def __init__(self, assignment: Assignment, workplace: Workplace, listener: Listener) -> None:
        self.assignment, self.workplace, self.listener = assignment, workplace, listener
        self.spec = apply_defaults(assignment.spec)
        self.resolution = Resolution.of(assignment.spec)

    def run(self) -> str:
        """Prepares, encodes, trains and publishes; returns the model's id. Raises HeadstartError."""
        self.listener.state("PREPARING")
        torch.manual_seed(seed_of(self.spec))
        plans, data, trainer = self._plan()
        stored = self._encode(plans, data)
        self.listener.state("TRAINING")
        try:
            model, report = self._train(plans, data, trainer, stored)
        except (RuntimeError, MemoryError, OSError) as error:
            if not ran_out_of_memory(error):
                raise
            raise TrainingFailedError(
                f"out of memory on {self.workplace.device} at batch size {trainer.batch_size}; lower "
                "trainer.batch_size or max_sequence_length, or raise trainer.gradient_accumulation_steps",
                reason="OUT_OF_MEMORY",
                field="trainer.batch_size",
            ) from error
        self.listener.state("PUBLISHING")
        return self._publish(plans, data, model, report)

    def _plan(self) -> tuple[dict[str, PretrainedPlan], PreparedData, TrainerPlan]:
        device = self.workplace.device.type
        plans = plan_inputs(self.spec, self.workplace.sources, self.resolution, device)
        data = prepare(self.spec, self.assignment.sources, seed_of(self.spec), self.workplace.image_limits)
        trainer = plan_trainer(
            self.spec,
            self.resolution,
            len(data.rows(Part.TRAIN)),
            device,
            encoder_runs=any(not plan.cached for plan in plans.values()),
            encoder_trains=any(plan.trainable for plan in plans.values()),
        )
        self._report_resolved(data)
        if data.dropped_rows:
            self.listener.warning("ROWS_DROPPED", f"{data.dropped_rows} rows with missing cells are left out")
        for note in data.notes:
            self.listener.warning("BAD_IMAGES", note)
        for reason, message in trainer.warnings:
            self.listener.warning(reason, message)
        return plans, data, trainer

    def _report_resolved(self, data: PreparedData) -> None:
        counts = RowCounts(*(len(data.rows(part)) for part in (Part.TRAIN, Part.VALIDATION, Part.TEST)))
        self.listener.resolved(self.resolution.spec(), list(self.resolution.resolved.values()), counts)

    def _encode(self, plans: dict[str, PretrainedPlan], data: PreparedData) -> dict[str, StoredInput]:
        """What the store has of every cached input, once what it lacks is encoded."""
        inputs = StoredInputs(data, self.workplace, self.listener, self._scratch)
        inputs.check_images(plans)
        cached = [feature for feature in data.inputs if feature.name in plans and plans[feature.name].cached]
        if cached:
            self.listener.state("ENCODING")
        stored = {feature.name: inputs.of(feature, plans[feature.name]) for feature in cached}
        if inputs.dropped:
            self._report_resolved(data)
        return stored

    @cached_property
    def _scratch(self) -> Path:
        return self.workplace.layout.job(self.assignment.identifier) / "scratch"

    def _train(
        self,
        plans: Mapping[str, PretrainedPlan],
        data: PreparedData,
        trainer: TrainerPlan,
        stored: dict[str, StoredInput],
    ) -> tuple[ECD, EpochReport]:
        assembly = Assembly(self.spec, plans, data, stored, self.workplace)
        model = assembly.model()
        feed = assembly.feed(model)
        try:
            return self._fit(model, feed, plans, data, trainer)
        finally:
            feed.close()

    def _fit(
        self, model: ECD, feed: Feed, plans: Mapping[str, PretrainedPlan], data: PreparedData, trainer: TrainerPlan
    ) -> tuple[ECD, EpochReport]:
        device = self.workplace.device
        losses = {feature.name: build_loss(feature, device) for feature in data.outputs}
        precision = Precision(trainer.precision, device)
        batch_size = self._batch_size(model, feed, losses, precision, trainer, data)
        self._compile(model, trainer)
        loop = self._loop(model, feed, data.outputs, losses, precision, trainer, batch_size)
        with fitting_threads(model, batch_size, encoder_runs=any(not plan.cached for plan in plans.values())):
            report = loop.run()
            self._calibrate(loop, data.outputs)
        return model, report

    def _batch_size(
        self,
        model: ECD,
        feed: Feed,
        losses: Mapping[str, LossFunction],
        precision: Precision,
        trainer: TrainerPlan,
        data: PreparedData,
    ) -> int:
        if trainer.batch_size_given or not feed.runs_encoders:
            return trainer.batch_size
        fit = fitting_batch_size(model, feed, losses, precision, trainer.batch_size)
        reason = f"{fit.bytes_per_row / 2**20:.1f} MiB of activations per row of the longest; the rule's "
        reason += (
            f"{trainer.batch_size} fits"
            if fit.size == trainer.batch_size
            else f"{trainer.batch_size} does not fit in half of the free memory"
        )
        self.resolution.record("trainer.batch_size", fit.size, Origin.MEASURED, reason)
        self._report_resolved(data)
        return fit.size

    def _compile(self, model: ECD, trainer: TrainerPlan) -> None:
        """Compiles the encoders in place, so that their state keeps its names."""
        if trainer.compile:
            for item in model.pretrained().values():
                if not item.skipped:
                    item.encoder.compile(dynamic=True)

    def _loop(
        self,
        model: ECD,
        feed: Feed,
        outputs: tuple[FittedFeature, ...],
        losses: Mapping[str, LossFunction],
        precision: Precision,
        trainer: TrainerPlan,
        batch_size: int,
    ) -> Loop:
        batches = -(-feed.count(Part.TRAIN) // batch_size)
        steps = -(-batches // trainer.accumulation)
        schedule = Schedule(steps * trainer.epochs, steps, trainer.warmup_fraction, trainer.decay, trainer.decay_rate)
        optimizer = build_optimizer(
            model, self.spec.trainer.optimizer, trainer.learning_rate, trainer.head_learning_rate
        )
        settings = LoopSettings(
            epochs=trainer.epochs,
            batch_size=batch_size,
            eval_batch_size=trainer.eval_batch_size,
            accumulation=trainer.accumulation,
            clipping=trainer.clipping,
            evaluate_training_set=trainer.evaluate_training_set,
            early_stop=trainer.early_stop,
            validation_metric=trainer.validation_metric,
            seed=trainer.seed,
            checkpoints=self._scratch.parent / "checkpoints" if trainer.checkpoint else None,
            checkpoint_seconds=_CHECKPOINT_SECONDS,
        )
        return Loop(model, feed, outputs, losses, optimizer, schedule, precision, settings, self.listener)

    def _calibrate(self, loop: Loop, outputs: tuple[FittedFeature, ...]) -> None:
        logits, targets = loop.outputs_of(Part.VALIDATION)
        for feature in outputs:
            wanted = feature.spec.decoder.calibration is not False and feature.spec.type in ("category", "binary")
            temperature = fit_temperature(logits[feature.name], targets[feature.name]) if wanted else 1.0
            loop.model.decoder(feature.name).temperature.fill_(temperature)

    def _publish(self, plans: Mapping[str, PretrainedPlan], data: PreparedData, model: ECD, report: EpochReport) -> str:
        identifier = new_id()
        references = {}
        for index, (name, plan) in enumerate(plans.items()):
            digest = "" if plan.trainable else self.workplace.vault.keep(plan.source)
            references[name] = plan.reference(digest, f"encoders/{index}" if plan.trainable else "")
        details = {
            "job": self.assignment.identifier,
            "display_name": self.assignment.display_name,
            "create_time": datetime.now(UTC).isoformat(),
            "metrics": report.__dict__,
        }
        save_bundle(
            self.workplace.layout.models / identifier,
            self.resolution.spec(),
            model.cpu(),
            data.inputs,
            data.outputs,
            references,
            {name: partial(plan.save_encoder, model.pretrained()[name].encoder) for name, plan in plans.items()},
            sample_of(data),
            details,
        )
        self.listener.model(identifier, report)
        shutil.rmtree(self._scratch, ignore_errors=True)
        return identifier
