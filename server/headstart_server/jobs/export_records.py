"""Export jobs as values: what was asked for, where it is, and how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from headstart_server.core import errors
from headstart_server.core.errors import FailedPreconditionError, HeadstartError, InvalidInputError, Violation
from headstart_server.core.reasons import Reason
from headstart_server.engines.envelopes import PREDICTIONS, PredictionsOrder


class ExportState(StrEnum):
    """Names as in the contract, without the prefix."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def terminal(self) -> bool:
        """Whether the export has ended."""
        return self not in (ExportState.QUEUED, ExportState.RUNNING)


@dataclass(frozen=True)
class ExportOrder:
    """Which model in which format (`onnx`, `torchscript`), and whether without its encoders; or what it predicts."""

    model: str
    format: str
    head_only: bool
    predictions: PredictionsOrder | None = None
    """Of the format `predictions`."""

    @property
    def repeatable(self) -> bool:
        """Whether what was made of it before is what would be made now: files below a data root may change."""
        return self.predictions is None or bool(self.predictions.source.sha256)


@dataclass(frozen=True)
class Stage:
    """An export came to `wait`, `load`, `trace`, `check`, `predict` or `publish`; the message is for people."""

    stage: str
    message: str
    rows_done: int = 0
    rows_total: int = 0
    """Of `predict`."""


@dataclass(frozen=True)
class ExportRecord:
    """An export job as the store has it."""

    identifier: str
    tenant: str
    order: ExportOrder
    state: ExportState
    create_time: datetime
    stage: Stage = Stage("", "")
    """The step that runs."""
    artifact: str = ""
    """Id; empty before SUCCEEDED."""
    error: HeadstartError | None = None
    """Why it FAILED."""
    start_time: datetime | None = None
    end_time: datetime | None = None
    attempt: int = 0
    """How often it was begun; with its server's name a fencing token."""
    jobs_before: int | None = None
    """How many wait before it; None where it does not wait."""


@dataclass(frozen=True)
class ExportEnd:
    """How an attempt ended: in SUCCEEDED with an artifact, or FAILED with an error."""

    state: ExportState
    artifact: str = ""
    error: HeadstartError | None = None


def plain_error(error: HeadstartError) -> dict[str, str]:
    """An error as JSON."""
    return {"kind": type(error).__name__, "reason": error.reason, "message": error.message, "field": error.field}


def error_of(error: Mapping[str, str]) -> HeadstartError:
    """The error that `plain_error` described."""
    kind = getattr(errors, error["kind"], HeadstartError)
    if kind is InvalidInputError:
        return InvalidInputError(Violation(error["field"], error["message"]), reason=error["reason"])
    found: HeadstartError = kind(error["message"], reason=error["reason"])
    found.field = error["field"]
    return found


def died(how: str, file_format: str = "") -> FailedPreconditionError:
    """The error of an export in a format whose process has died, or whose servers have."""
    if file_format == PREDICTIONS:
        remedy = "free memory and try again: embeddings that were stored are not computed again"
    else:
        remedy = "free memory and try again, or export the head alone (head_only)"
    return FailedPreconditionError(f"{how}; nothing was published; {remedy}", reason=Reason.EXPORT_DIED)
