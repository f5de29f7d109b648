"""From an assignment to all that training needs: plans, prepared rows, resolved settings, stored embeddings."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from headstart_server.data.dataset import PreparedData, Survey, prepare
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.splits import Part
from headstart_server.engines.assignment import Assignment
from headstart_server.engines.crew import Crew
from headstart_server.engines.listener import Listener, RowCounts, Silent
from headstart_server.engines.stored import StoredInput, StoredInputs
from headstart_server.engines.workplace import Workplace
from headstart_server.planning.backend import BackendPlan, plan_backend
from headstart_server.planning.inputs import plan_inputs
from headstart_server.planning.notes import notes_of
from headstart_server.planning.pretrained import PretrainedPlan
from headstart_server.planning.resolution import Resolution
from headstart_server.planning.sampling import record_sampling
from headstart_server.planning.trainer import TrainerPlan, plan_trainer, seed_of
from headstart_server.spec.defaults import apply_defaults
from headstart_server.spec.model import TrainSpec

T = TypeVar("T")


@dataclass(frozen=True)
class Prepared:
    """A job whose rows are read and whose settings are resolved as far as rules can."""

    assignment: Assignment
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
        listener.resolved(self.resolution.spec(), list(self.resolution.resolved.values()), counts)


def prepare_job(
    assignment: Assignment,
    workplace: Workplace,
    listener: Listener,
    survey: Survey | None = None,
) -> Prepared:
    """Reads and profiles the rows and resolves the spec."""
    spec, resolution = apply_defaults(assignment.spec), Resolution.of(assignment.spec)
    torch.manual_seed(seed_of(spec))
    backend = plan_backend(spec, resolution, workplace.device.type)
    device = backend.device_type(workplace.device.type)
    plans = plan_inputs(spec, workplace.sources, resolution, device)
    data = prepare(spec, assignment.sources, seed_of(spec), workplace.image_limits, survey)
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
    prepared = Prepared(assignment, spec, resolution, plans, data, trainer, backend)
    prepared.report(listener)
    for reason, message in notes_of(data, trainer, backend):
        listener.warning(reason, message)
    return prepared


def stored_inputs(prepared: Prepared, workplace: Workplace, listener: Listener) -> dict[str, StoredInput]:
    """What the store has of every cached input, once what it lacks is encoded."""
    inputs = StoredInputs(prepared.data, workplace, listener, scratch_of(prepared.assignment, workplace))
    inputs.check_images(prepared.plans)
    return _for_each_cached(prepared, inputs, listener, inputs.of)


def fill_store(prepared: Prepared, workplace: Workplace, listener: Listener, crew: Crew) -> Survey:
    """Has a crew encode what the store lacks; returns what the workers need to know of the rows."""
    data = prepared.data
    parts = data.parts.copy()
    inputs = StoredInputs(data, workplace, listener, scratch_of(prepared.assignment, workplace), crew)
    inputs.check_images(prepared.plans)
    _for_each_cached(prepared, inputs, listener, inputs.fill)
    return Survey(parts, data.parts, {name: images.keys for name, images in data.images.items()})


def gathered_inputs(prepared: Prepared, workplace: Workplace) -> dict[str, StoredInput]:
    """What the store has of every cached input, filled as it is: encodes only what has gone since."""
    scratch = scratch_of(prepared.assignment, workplace)
    inputs = StoredInputs(prepared.data, workplace, Silent(), scratch)
    return _for_each_cached(prepared, inputs, Silent(), inputs.of)


def _for_each_cached(
    prepared: Prepared, inputs: StoredInputs, listener: Listener, get: Callable[[FittedFeature, PretrainedPlan], T]
) -> dict[str, T]:
    plans = prepared.plans
    cached = [feature for feature in prepared.data.inputs if feature.name in plans and plans[feature.name].cached]
    if cached:
        listener.state("ENCODING")
    got = {feature.name: get(feature, plans[feature.name]) for feature in cached}
    if inputs.dropped:
        prepared.report(listener)
    return got


def scratch_of(assignment: Assignment, workplace: Workplace) -> Path:
    """The job's folder for what need not outlive it."""
    return workplace.layout.job(assignment.identifier) / "scratch"
