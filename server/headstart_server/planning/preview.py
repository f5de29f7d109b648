"""Looks at a job before it runs: resolves its spec against its data, and asks the store what it has."""

from dataclasses import dataclass, replace

from headstart_server.data.dataset import PreparedData, prepare
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.images.decode import ImageLimits
from headstart_server.data.splits import Part
from headstart_server.data.tables import Sources
from headstart_server.data.texts import TextColumn
from headstart_server.embedding_store.fill import FillProgress, survey
from headstart_server.embedding_store.key import Keys, keys_of_chunks
from headstart_server.embedding_store.store import EmbeddingStore
from headstart_server.encoders.sources import ModelSources
from headstart_server.planning.backend import plan_backend
from headstart_server.planning.inputs import plan_inputs
from headstart_server.planning.pretrained import PretrainedPlan
from headstart_server.planning.resolution import Resolution
from headstart_server.planning.trainer import TrainerPlan, plan_trainer, seed_of
from headstart_server.spec.defaults import apply_defaults
from headstart_server.spec.model import TrainSpec


@dataclass(frozen=True)
class PlannedPass:
    """One embedding pass that a job would make; `encoded` counts the rows that its encoder has yet to read."""

    name: str
    space: str
    progress: FillProgress


@dataclass(frozen=True)
class Preview:
    """What a job would do."""

    resolution: Resolution
    data: PreparedData
    plans: dict[str, PretrainedPlan]
    warnings: tuple[tuple[str, str], ...] = ()
    """(reason, message) of what the job would warn of before it trains."""

    def rows(self, part: Part) -> int:
        """Rows of a part."""
        return len(self.data.rows(part))

    def passes(self, store: EmbeddingStore) -> list[PlannedPass]:
        """For each cached input, and each stored view of its training rows, what the store has."""
        found = []
        for feature in self.data.inputs:
            plan = self.plans.get(feature.name)
            if plan is not None and plan.cached:
                keys = keys_of_input(self.data, feature)
                for name, space in plan.passes.items():
                    wanted = keys if name == plan.name else keys[self.data.rows(Part.TRAIN)]
                    progress, missing = survey(store.space(space), wanted)
                    found.append(PlannedPass(name, space.identifier, replace(progress, encoded=len(missing))))
        return found


def keys_of_input(data: PreparedData, feature: FittedFeature) -> Keys:
    """The key of every row of a pretrained input."""
    if feature.name in data.images:
        return data.images[feature.name].keys
    return keys_of_chunks(TextColumn(data.texts(feature)).chunks)


def check_spec(spec: TrainSpec, sources: ModelSources, device_type: str) -> None:
    """Raises InvalidInputError for whatever is wrong with a spec before its data is known."""
    merged = apply_defaults(spec)
    device_type = plan_backend(merged, Resolution.of(spec), device_type).device_type(device_type)
    plans = plan_inputs(merged, sources, Resolution.of(spec), device_type)
    _plan_trainer(merged, Resolution.of(spec), 1, device_type, plans)


def preview(
    spec: TrainSpec, tables: Sources, sources: ModelSources, device_type: str, limits: ImageLimits | None = None
) -> Preview:
    """Resolves everything but measured values; raises InvalidInputError with what is wrong."""
    merged, resolution = apply_defaults(spec), Resolution.of(spec)
    backend = plan_backend(merged, resolution, device_type)
    device_type = backend.device_type(device_type)
    plans = plan_inputs(merged, sources, resolution, device_type)
    data = prepare(merged, tables, seed_of(merged), limits)
    trainer = _plan_trainer(merged, resolution, len(data.rows(Part.TRAIN)), device_type, plans)
    return Preview(resolution, data, plans, (*trainer.warnings, *backend.warnings))


def _plan_trainer(
    merged: TrainSpec, resolution: Resolution, rows: int, device_type: str, plans: dict[str, PretrainedPlan]
) -> TrainerPlan:
    backend = plan_backend(merged, resolution, device_type)
    return plan_trainer(
        merged,
        resolution,
        rows,
        device_type,
        encoder_runs=any(not plan.cached for plan in plans.values()),
        encoder_trains=any(plan.trainable for plan in plans.values()),
        workers=backend.workers,
    )
