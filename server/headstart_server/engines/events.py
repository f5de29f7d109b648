"""Everything that a job reports, a class per kind, and the one way in which it is written and read.

A new kind is a class, a line in `_KINDS`, and a message of the contract.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, TypeAdapter

from headstart_server.core.states import State
from headstart_server.embedding_store.fill import FillProgress
from headstart_server.engines.trials import TrialReport
from headstart_server.planning.resolution import ResolvedValue
from headstart_server.training.output_evaluation import OutputEvaluation
from headstart_server.training.reports import EpochReport, JobWarning, PastEpoch, StepReport


@dataclass(frozen=True)
class JobFailure:
    """Why a job failed."""

    reason: str
    message: str
    field: str = ""
    """Of the spec or the request; empty where no field is to blame."""


@dataclass(frozen=True)
class StateChange:
    """The job entered a state."""

    to: State
    before: Annotated[State | None, Field(alias="from"), BeforeValidator(lambda state: state or None)] = None
    """Known to the store alone; None for the first."""
    error: JobFailure | None = None
    """Of FAILED."""


@dataclass(frozen=True)
class RowCounts:
    """Rows by part."""

    train: int
    validation: int
    test: int


@dataclass(frozen=True)
class SpecResolved:
    """What became of every `auto`; reported again when measured values are in."""

    spec: dict[str, Any]
    """The resolved spec, as `TrainSpec.compact` gives it."""
    values: list[ResolvedValue]
    rows: RowCounts
    sources: dict[str, int] = field(default_factory=dict)
    """Rows of each data set, by its role in the request."""


@dataclass(frozen=True)
class EncodeReport(FillProgress):
    """Progress of the embedding pass over one input."""

    feature: str = ""
    space: str = ""

    @classmethod
    def of(cls, progress: FillProgress, feature: str, space: str) -> "EncodeReport":
        """That of a pass."""
        counts = {item.name: getattr(progress, item.name) for item in fields(FillProgress)}
        return cls(**counts, feature=feature, space=space)


@dataclass(frozen=True)
class ModelPublished:
    """The model can be used."""

    model: str
    """Its id."""
    best_epoch: EpochReport


@dataclass(frozen=True)
class ModelEvaluated:
    """How the model that is about to be published answers."""

    outputs: list[OutputEvaluation]


JobEvent = (
    StateChange
    | SpecResolved
    | EncodeReport
    | StepReport
    | EpochReport
    | PastEpoch
    | JobWarning
    | ModelEvaluated
    | ModelPublished
    | TrialReport
)
_KINDS: dict[str, type[JobEvent]] = {
    "state": StateChange,
    "resolved": SpecResolved,
    "encode": EncodeReport,
    "step": StepReport,
    "epoch": EpochReport,
    "past": PastEpoch,
    "warning": JobWarning,
    "evaluated": ModelEvaluated,
    "model": ModelPublished,
    "trial": TrialReport,
}
_NAMES = {event: kind for kind, event in _KINDS.items()}
_ADAPTERS: dict[type[JobEvent], TypeAdapter[Any]] = {event: TypeAdapter(event) for event in _KINDS.values()}


def kind_of(event: type[JobEvent]) -> str:
    """The name under which events of a class are stored."""
    return _NAMES[event]


def to_plain(event: JobEvent) -> tuple[str, dict[str, Any]]:
    """(kind, the event as values of JSON)."""
    return _NAMES[type(event)], _ADAPTERS[type(event)].dump_python(event, mode="json", by_alias=True)


def from_plain(kind: str, data: dict[str, Any]) -> JobEvent:
    """The event that was made plain; raises ValueError for what is none."""
    if kind not in _KINDS:
        raise ValueError(f"{kind!r} is no kind of event; known: {', '.join(_KINDS)}")
    event: JobEvent = _ADAPTERS[_KINDS[kind]].validate_python(data)
    return event


def evaluation_of(details: Mapping[str, Any]) -> list[OutputEvaluation]:
    """How a published model answered, by the details of its bundle; empty for models of earlier versions."""
    event: ModelEvaluated = _ADAPTERS[ModelEvaluated].validate_python({"outputs": details.get("evaluation", [])})
    return event.outputs
