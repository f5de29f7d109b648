"""Where a job can be, and where it can go from there."""

from enum import StrEnum

from headstart_server.core.errors import FailedPreconditionError


class State(StrEnum):
    """Names as in the contract, without the prefix."""

    QUEUED = "QUEUED"
    PREPARING = "PREPARING"
    ENCODING = "ENCODING"
    TRAINING = "TRAINING"
    PUBLISHING = "PUBLISHING"
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
_RUNNING = (State.PREPARING, State.ENCODING, State.TRAINING, State.PUBLISHING)
_NEXT: dict[State, set[State]] = {
    State.QUEUED: {State.PREPARING, State.CANCELLED, State.FAILED},
    # A job whose server was restarted goes back to the queue.
    **{state: {*_RUNNING, State.QUEUED, State.CANCELLING, State.CANCELLED, State.FAILED} for state in _RUNNING},
    State.PUBLISHING: {State.SUCCEEDED, State.QUEUED, State.CANCELLING, State.CANCELLED, State.FAILED},
    State.PAUSED: {State.QUEUED, State.CANCELLED},
    State.CANCELLING: {State.CANCELLED, State.SUCCEEDED, State.FAILED},
}


def check_transition(before: State, after: State) -> None:
    """Raises FailedPreconditionError if a job cannot go from `before` to `after`."""
    if after not in _NEXT.get(before, set()):
        raise FailedPreconditionError(f"a job that is {before} cannot become {after}")
