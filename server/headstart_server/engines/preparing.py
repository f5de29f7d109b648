"""From a job to all that training needs: plans, prepared rows, resolved settings, stored embeddings."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from headstart_server.core.states import State
from headstart_server.data.dataset import PreparedData, Survey, prepare
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.splits import Part
from headstart_server.encoding.encode_pool import EncodePool
from headstart_server.engines.events import RowCounts, SpecResolved, StateChange
from headstart_server.engines.job_context import JobContext
from headstart_server.engines.listener import Listener, Silent
from headstart_server.engines.runtime_context import RuntimeContext
from headstart_server.engines.stored_inputs import StoredInput, StoredInputs
from headstart_server.planning.backend import BackendPlan, plan_backend
from headstart_server.planning.inputs import plan_inputs
from headstart_server.planning.notes import notes_of
from headstart_server.planning.pretrained import PretrainedPlan
from headstart_server.planning.resolution import Resolution
from headstart_server.planning.sampling import record_sampling
from headstart_server.planning.trainer import TrainerPlan, plan_trainer, seed_of
from headstart_server.spec.defaults import apply_defaults
from headstart_server.spec.model import TrainSpec
from headstart_server.training.reports import JobWarning

T = TypeVar("T")


@dataclass(frozen=True)
class Prepared:
    """A job whose rows are read and whose settings are resolved as far as rules can."""

    job: JobContext
    spec: TrainSpec
    """With its defaults applied."""
    resolution: Resolution
    plans: dict[str, PretrainedPlan]
    data: PreparedData
    trainer: TrainerPlan
    backend: BackendPlan

    def report(self, listener: Listener) -> None:
        """Tells the resolved values and the row counts."""
        others = (len(self.data.rows(part)) for part in (Part.VALIDATION, Part.TEST))
        counts = RowCounts(len(self.data.epoch_rows()), *others)
        resolved = list(self.resolution.resolved.values())
        listener.report(SpecResolved(self.resolution.spec().compact(), resolved, counts))


def prepare_job(
    job: JobContext,
    runtime: RuntimeContext,
    listener: Listener,
    survey: Survey | None = None,
) -> Prepared:
    """Reads and profiles the rows and resolves the spec."""
    spec, resolution = apply_defaults(job.spec), Resolution.of(job.spec)
    torch.manual_seed(seed_of(spec))
    backend = plan_backend(spec, resolution, runtime.device.type)
    device = backend.device_type(runtime.device.type)
    plans = plan_inputs(spec, runtime.sources, resolution, device)
    data = prepare(spec, job.sources, seed_of(spec), runtime.image_limits, survey)
    record_sampling(spec, resolution, data)
    trainer = plan_trainer(
        spec,
        resolution,
        len(data.epoch_rows()),
        device,
        encoder_runs=any(not plan.cached for plan in plans.values()),
        encoder_trains=any(plan.trainable for plan in plans.values()),
        workers=backend.workers,
    )
    if survey is not None:  # only now, as one process finds out after it has resolved its settings
        data.parts[:] = survey.settled
    prepared = Prepared(job, spec, resolution, plans, data, trainer, backend)
    prepared.report(listener)
    for reason, message in notes_of(data, trainer, backend):
        listener.report(JobWarning(reason, message))
    return prepared


def stored_inputs(prepared: Prepared, runtime: RuntimeContext, listener: Listener) -> dict[str, StoredInput]:
    """What the store has of every cached input, once what it lacks is encoded."""
    inputs = StoredInputs(prepared.data, runtime, listener, scratch_of(prepared.job, runtime))
    inputs.check_images(prepared.plans)
    return _for_each_cached(prepared, inputs, listener, inputs.of)


def fill_store(prepared: Prepared, runtime: RuntimeContext, listener: Listener, encode_pool: EncodePool) -> Survey:
    """Has an encode pool encode what the store lacks; returns what the workers need to know of the rows."""
    data = prepared.data
    parts = data.parts.copy()
    inputs = StoredInputs(data, runtime, listener, scratch_of(prepared.job, runtime), encode_pool)
    inputs.check_images(prepared.plans)
    _for_each_cached(prepared, inputs, listener, inputs.fill)
    return Survey(parts, data.parts, {name: images.keys for name, images in data.images.items()})


def gathered_inputs(prepared: Prepared, runtime: RuntimeContext) -> dict[str, StoredInput]:
    """What the store has of every cached input, filled as it is: encodes only what has gone since."""
    scratch = scratch_of(prepared.job, runtime)
    inputs = StoredInputs(prepared.data, runtime, Silent(), scratch)
    return _for_each_cached(prepared, inputs, Silent(), inputs.of)


def _for_each_cached(
    prepared: Prepared, inputs: StoredInputs, listener: Listener, get: Callable[[FittedFeature, PretrainedPlan], T]
) -> dict[str, T]:
    plans = prepared.plans
    cached = [feature for feature in prepared.data.inputs if feature.name in plans and plans[feature.name].cached]
    if cached:
        listener.report(StateChange(State.ENCODING))
    got = {feature.name: get(feature, plans[feature.name]) for feature in cached}
    if inputs.dropped:
        prepared.report(listener)
    return got


def scratch_of(job: JobContext, runtime: RuntimeContext) -> Path:
    """The job's folder for what need not outlive it."""
    return runtime.layout.job(job.identifier) / "scratch"
