"""Where a job can go, against the table that the contract's comments describe."""

from __future__ import annotations

import itertools

import pytest
from headstart.v1 import training_pb2 as pb
from headstart_server.core.errors import FailedPreconditionError
from headstart_server.core.states import State
from headstart_server.jobs.transitions import check_transition

ALLOWED = {
    "QUEUED": "PREPARING PAUSED CANCELLED FAILED",
    "PREPARING": "PREPARING ENCODING TRAINING PUBLISHING QUEUED PAUSING CANCELLING CANCELLED FAILED",
    "ENCODING": "PREPARING ENCODING TRAINING PUBLISHING QUEUED PAUSING CANCELLING CANCELLED FAILED",
    "TRAINING": "PREPARING ENCODING TRAINING PUBLISHING QUEUED PAUSING CANCELLING CANCELLED FAILED",
    "PUBLISHING": "SUCCEEDED QUEUED PAUSING CANCELLING CANCELLED FAILED",
    "PAUSING": "PAUSED SUCCEEDED CANCELLING CANCELLED FAILED",
    "PAUSED": "QUEUED CANCELLED FAILED",
    "CANCELLING": "CANCELLED SUCCEEDED FAILED",
    "SUCCEEDED": "",
    "FAILED": "",
    "CANCELLED": "",
}


@pytest.mark.parametrize(("before", "after"), list(itertools.product(State, State)))
def test_a_job_goes_only_where_it_may(before: State, after: State) -> None:
    if after in ALLOWED[before].split():
        check_transition(before, after)
    else:
        with pytest.raises(FailedPreconditionError, match=f"{before} cannot become {after}"):
            check_transition(before, after)


def test_ended_are_those_that_lead_nowhere() -> None:
    assert {state for state in State if state.terminal} == {State(name) for name, after in ALLOWED.items() if not after}


def test_states_are_those_of_the_contract() -> None:
    assert {f"STATE_{state}" for state in State} == set(pb.TrainJob.State.keys()) - {"STATE_UNSPECIFIED"}
