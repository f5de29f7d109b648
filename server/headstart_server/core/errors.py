"""Domain errors: what went wrong, where, and what to do. They know nothing of gRPC; `rpc/errors.py` maps them."""

from collections.abc import Sequence
from dataclasses import dataclass

from headstart_server.core.reasons import Reason


@dataclass(frozen=True)
class Violation:
    """One thing wrong with one field of the input.

    `field` is a path such as `input_features[0].encoder.type`; `message` says what was given and what would be right.
    """

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class HeadstartError(Exception):
    """Base of all errors that a user may see. `reason` is stable and upper-case."""

    reason: str = Reason.INTERNAL
    retry_after: float | None = None
    """Seconds after which it may be tried again; None: what was asked for must change first."""

    def __init__(self, message: str, *, reason: str | None = None, field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        if reason is not None:
            self.reason = reason


MAX_VIOLATIONS, MOST_VIOLATIONS = 20, 500


class InvalidInputError(HeadstartError):
    """The request, spec or data is wrong; carries the first 20 violations found, and how many more there are.

    `unlisted` counts those that the caller did not even write down.
    """

    reason = Reason.INVALID_INPUT

    def __init__(
        self, violations: list[Violation] | Violation, *, reason: str | None = None, unlisted: int = 0
    ) -> None:
        found = [violations] if isinstance(violations, Violation) else list(violations)
        if not found:
            raise ValueError("an InvalidInputError needs at least one violation")
        self.everything = found[:MOST_VIOLATIONS]
        """What a plan tells; an error carries the first of it."""
        self.listed = found[:MAX_VIOLATIONS]
        self.unlisted = len(found) - len(self.listed) + unlisted
        self.violations = [*self.listed, rest(self.unlisted)] if self.unlisted else self.listed
        super().__init__("; ".join(map(str, self.violations)), reason=reason, field=found[0].field)

    @property
    def left_out(self) -> int:
        """How many violations are not even in `everything`."""
        return self.unlisted - (len(self.everything) - len(self.listed))

    @classmethod
    def of_all(cls, errors: Sequence["InvalidInputError"], reason: str) -> "InvalidInputError":
        """One error for several. It has their reason where they agree, and `reason` otherwise."""
        reasons = {error.reason for error in errors}
        found = [violation for error in errors for violation in error.everything]
        unlisted = sum(error.left_out for error in errors)
        return cls(found, reason=reasons.pop() if len(reasons) == 1 else reason, unlisted=unlisted)


class BadCellError(InvalidInputError):
    """One cell is no value of its column; its row may be left out, and the others are sound."""


def rest(count: int) -> Violation:
    """Stands for so many violations that are not listed."""
    return Violation("", f"and {count} more; correct these first")


class UnexpectedError(HeadstartError):
    """The server failed at something that it should not fail at; its log has the details."""

    def __init__(self, message: str = "the server failed; its log has the details") -> None:
        super().__init__(message)


class NotFoundError(HeadstartError):
    """A named resource does not exist."""

    reason = Reason.NOT_FOUND


class AlreadyExistsError(HeadstartError):
    """The name or request id is taken by something else."""

    reason = Reason.ALREADY_EXISTS


class FailedPreconditionError(HeadstartError):
    """The request is fine but the resource is not in a state for it."""

    reason = Reason.FAILED_PRECONDITION


class NotExportableError(FailedPreconditionError):
    """One format does not hold the model; the message ends where the way out would begin."""

    reason = Reason.NOT_EXPORTABLE


class UnauthenticatedError(HeadstartError):
    """The server does not know who calls: credentials are missing, unknown or over. Never says what was sent."""

    reason = Reason.UNAUTHENTICATED


class KeysUnavailableError(HeadstartError):
    """The keys by which tokens are verified cannot be had; trying again may help."""

    reason = Reason.KEYS_UNAVAILABLE


class PermissionDeniedError(HeadstartError):
    """The caller may not do this."""

    reason = Reason.PERMISSION_DENIED


class OutOfRangeError(HeadstartError):
    """An offset lies past the end."""

    reason = Reason.OUT_OF_RANGE


class OverloadedError(HeadstartError):
    """A limit on concurrent work is reached; try again after `retry_after` seconds."""

    reason = Reason.OVERLOADED
    retry_after: float

    def __init__(self, message: str, *, retry_after: float = 1.0, reason: str | None = None) -> None:
        super().__init__(message, reason=reason)
        self.retry_after = retry_after


class StoppingError(HeadstartError):
    """The server is going away, and comes back or is replaced; try again after `retry_after` seconds."""

    reason = Reason.STOPPING
    retry_after: float

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class UnavailableError(HeadstartError):
    """The job database cannot be used for now; try again after `retry_after` seconds."""

    reason = Reason.DATABASE_UNAVAILABLE
    retry_after: float

    def __init__(self, message: str, *, retry_after: float = 5.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class QuotaError(OverloadedError):
    """A tenant has used up one of its quotas; `tenant` and `quota` name them. Other tenants are not affected."""

    reason = Reason.QUOTA_EXCEEDED

    def __init__(self, message: str, *, tenant: str = "", quota: str = "", retry_after: float = 1.0) -> None:
        super().__init__(message, retry_after=retry_after)
        self.tenant, self.quota = tenant, quota


class DeadlineExceededError(HeadstartError):
    """The caller has stopped waiting, so nothing more is done for it."""

    reason = Reason.DEADLINE_EXCEEDED


class TooLargeError(HeadstartError):
    """Input above a size limit; trying again will not help."""

    reason = Reason.TOO_LARGE


class CancelledError(HeadstartError):
    """The job was asked to stop."""

    reason = Reason.CANCELLED


class PausedError(HeadstartError):
    """The job was asked to pause, and has come to where it can go on later."""

    reason = Reason.PAUSED


class TrainingFailedError(HeadstartError):
    """Training cannot go on: `reason` names why (`OUT_OF_MEMORY`, `NON_FINITE_LOSS`, ...), the message what to do."""

    reason = Reason.TRAINING_FAILED


class StoreFullError(HeadstartError):
    """No room is left on the disk that holds the state directory."""

    reason = Reason.DISK_FULL


class StorageError(HeadstartError):
    """The storage that machines share cannot be reached, or refuses; trying again may help."""

    reason = Reason.STORAGE_UNAVAILABLE
    retry_after = 5.0


class DataLossError(HeadstartError):
    """Files of the state directory are not what was written to them."""

    reason = Reason.DATA_LOSS


def invalid(field: str, message: str, *, reason: str | None = None) -> InvalidInputError:
    """An `InvalidInputError` with one violation."""
    return InvalidInputError(Violation(field, message), reason=reason)
