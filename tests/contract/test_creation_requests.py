"""What creates, trains and plans a job takes the same fields: the server reads all three as one message."""

from __future__ import annotations

from typing import Any

import pytest
from headstart.v1 import training_pb2 as pb

FOLLOWING = ("heartbeat_seconds", "max_events")
"""How to follow a job: TrainJob alone does."""


def fields(message: type[Any]) -> dict[str, tuple[Any, ...]]:
    """Number, type and shape of each field, by name."""
    return {
        field.name: (
            field.number,
            field.type,
            field.is_repeated,
            field.message_type and field.message_type.full_name.removeprefix(message.DESCRIPTOR.full_name),
            field.containing_oneof and field.containing_oneof.name,
        )
        for field in message.DESCRIPTOR.fields
    }


def test_requests_to_create_to_train_and_to_plan_have_the_same_fields() -> None:
    trained = fields(pb.TrainJobRequest)
    assert all(trained.pop(name) for name in FOLLOWING)
    assert fields(pb.CreateTrainJobRequest) == trained
    assert fields(pb.PlanTrainJobRequest) == trained


@pytest.mark.parametrize("name", FOLLOWING)
def test_the_number_of_what_only_following_needs_is_taken_in_the_others(name: str) -> None:
    number = pb.TrainJobRequest.DESCRIPTOR.fields_by_name[name].number
    assert number not in {field.number for field in pb.CreateTrainJobRequest.DESCRIPTOR.fields}
    assert number not in {field.number for field in pb.PlanTrainJobRequest.DESCRIPTOR.fields}
