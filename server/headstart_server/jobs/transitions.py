"""From which state a job can go where."""

from headstart_server.core.errors import FailedPreconditionError
from headstart_server.core.reasons import Reason
from headstart_server.core.states import State

_RUNNING = (State.PREPARING, State.ENCODING, State.TRAINING, State.PUBLISHING)
_LEAVES = (State.QUEUED, State.PAUSING, State.CANCELLING, State.CANCELLED, State.FAILED)
_NEXT: dict[State, set[State]] = {
    State.QUEUED: {State.PREPARING, State.PAUSED, State.CANCELLED, State.FAILED},
    # A job whose worker or server has died goes back to the queue.
    **{state: {*_RUNNING, *_LEAVES} for state in _RUNNING},
    # In place of its entry above: a job that publishes returns to no earlier state but the queue.
    State.PUBLISHING: {State.SUCCEEDED, *_LEAVES},
    # It may have published before it came to a checkpoint.
    State.PAUSING: {State.PAUSED, State.SUCCEEDED, State.CANCELLING, State.CANCELLED, State.FAILED},
    State.PAUSED: {State.QUEUED, State.CANCELLED, State.FAILED},
    # It may have published before it heard of the cancellation.
    State.CANCELLING: {State.CANCELLED, State.SUCCEEDED, State.FAILED},
}


def check_transition(before: State, after: State) -> None:
    """Raises FailedPreconditionError if a job cannot go from `before` to `after`."""
    if after not in _NEXT.get(before, set()):
        raise FailedPreconditionError(f"a job that is {before} cannot become {after}", reason=Reason.JOB_STOPPING)
