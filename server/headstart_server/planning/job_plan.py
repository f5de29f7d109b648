"""The plan of a job: its spec resolved against its data, by one function for admission, worker and ranks."""

from dataclasses import dataclass, replace

from headstart_server.data.dataset import KnownFeatures, PreparedData, Survey, prepare
from headstart_server.data.images.decode import ImageLimits
from headstart_server.data.parts import Part
from headstart_server.data.tables import Sources
from headstart_server.encoders.sources import ModelSources
from headstart_server.planning.backend import BackendPlan, plan_backend
from headstart_server.planning.boosting import plan_boosting, require_few_columns
from headstart_server.planning.initial_model import InitialModel
from headstart_server.planning.inputs import plan_inputs
from headstart_server.planning.notes import Note, notes_of
from headstart_server.planning.pretrained import PretrainedPlan
from headstart_server.planning.resolution import Resolution
from headstart_server.planning.sampling import record_sampling
from headstart_server.planning.trainer import TrainerPlan, plan_trainer, plan_without_steps, seed_of
from headstart_server.spec.defaults import apply_defaults
from headstart_server.spec.model import TrainSpec


@dataclass(frozen=True)
class JobPlan:
    """A job whose rows are read and whose settings are resolved as far as rules can."""

    spec: TrainSpec
    """With its defaults applied."""
    resolution: Resolution
    inputs: dict[str, PretrainedPlan]
    """Of pretrained inputs, by name."""
    data: PreparedData
    trainer: TrainerPlan
    backend: BackendPlan
    initial: InitialModel | None = None

    @property
    def notes(self) -> list[Note]:
        """Every warning that the spec and the data show."""
        return notes_of(self.data, self.trainer, self.backend)

    def rows(self, part: Part) -> int:
        """Rows of a part; of training, those of an epoch."""
        return len(self.data.epoch_rows() if part is Part.TRAIN else self.data.rows(part))


def plan_job(
    spec: TrainSpec,
    tables: Sources,
    sources: ModelSources,
    device_type: str,
    limits: ImageLimits | None = None,
    survey: Survey | None = None,
    initial: InitialModel | None = None,
) -> JobPlan:
    """Reads and profiles the rows, and resolves everything but measured values.

    `device_type` is that of this process; a survey holds what the driver of several processes has found out about the
    rows, and `initial` is the model that the job begins from. Raises InvalidInputError with what is wrong.
    """
    merged, resolution = apply_defaults(spec), Resolution.of(spec)
    backend = plan_backend(merged, resolution, device_type)
    device_type = backend.device_type(device_type)
    inputs = plan_inputs(merged, sources, resolution, device_type)
    known = None
    if initial is not None:
        inputs = initial.taken_over(merged, inputs)
        known = KnownFeatures(initial.name, initial.features)
    data = prepare(merged, tables, seed_of(merged), limits, survey, known)
    record_sampling(merged, resolution, data)
    if merged.boosted:
        require_few_columns(data.outputs)
    trainer = _plan_trainer(merged, resolution, len(data.epoch_rows()), device_type, inputs, backend)
    if survey is not None:  # only now, as one process finds out after it has resolved its settings
        data.parts[:] = survey.settled
    return JobPlan(merged, resolution, inputs, data, trainer, backend, initial)


def replanned(plan: JobPlan, spec: TrainSpec, device_type: str) -> JobPlan:
    """The plan of a spec that makes the same of the rows as another's and trains otherwise; they are not read again.

    Raises InvalidInputError for settings of the trainer that cannot be.
    """
    merged, resolution = apply_defaults(spec), Resolution.of(spec)
    # as `plan_job` does: what the last training would refuse must not win before
    if plan.initial is not None:
        plan.initial.taken_over(merged, plan.inputs)
    if merged.boosted:
        require_few_columns(plan.data.outputs)
    rows, device_type = len(plan.data.epoch_rows()), plan.backend.device_type(device_type)
    trainer = _plan_trainer(merged, resolution, rows, device_type, plan.inputs, plan.backend)
    return replace(plan, spec=merged, resolution=resolution, trainer=trainer)


def check_spec(spec: TrainSpec, sources: ModelSources, device_type: str, initial: InitialModel | None = None) -> None:
    """Raises InvalidInputError for whatever is wrong with a spec before its data is known."""
    # as if of one row: what depends on their number is settled when they are read
    resolve_settings(spec, sources, device_type, 1, initial)


def resolve_settings(
    spec: TrainSpec, sources: ModelSources, device_type: str, rows: int, initial: InitialModel | None = None
) -> Resolution:
    """What rules make of a spec for so many training rows, without reading any; raises InvalidInputError."""
    merged, resolution = apply_defaults(spec), Resolution.of(spec)
    backend = plan_backend(merged, resolution, device_type)
    device_type = backend.device_type(device_type)
    inputs = plan_inputs(merged, sources, resolution, device_type)
    if initial is not None:
        inputs = initial.taken_over(merged, inputs)
    _plan_trainer(merged, resolution, rows, device_type, inputs, backend)
    return resolution


def _plan_trainer(
    merged: TrainSpec,
    resolution: Resolution,
    rows: int,
    device_type: str,
    inputs: dict[str, PretrainedPlan],
    backend: BackendPlan,
) -> TrainerPlan:
    encoder_runs = any(not plan.cached for plan in inputs.values())
    encoder_trains = any(plan.tuning.trains for plan in inputs.values())
    if merged.boosted:
        return plan_boosting(merged, resolution, rows, encoder_runs=encoder_runs)
    if not merged.by_steps:
        return plan_without_steps(merged, resolution, rows, encoder_runs=encoder_runs)
    return plan_trainer(
        merged,
        resolution,
        rows,
        device_type,
        encoder_runs=encoder_runs,
        encoder_trains=encoder_trains,
        # where another encoder is trained whole, that one decides: a rate for adapters would undo its weights
        adapts=encoder_trains and all(plan.tuning.shares_weights for plan in inputs.values()),
        workers=backend.workers,
    )
