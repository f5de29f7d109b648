"""The states of a job."""

from enum import StrEnum


class State(StrEnum):
    """Names as in the contract, without the prefix."""

    QUEUED = "QUEUED"
    PREPARING = "PREPARING"
    ENCODING = "ENCODING"
    TRAINING = "TRAINING"
    PUBLISHING = "PUBLISHING"
    PAUSING = "PAUSING"
    PAUSED = "PAUSED"
    CANCELLING = "CANCELLING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def terminal(self) -> bool:
        """Whether the job has ended."""
        return self in _TERMINAL


_TERMINAL = {State.SUCCEEDED, State.FAILED, State.CANCELLED}
