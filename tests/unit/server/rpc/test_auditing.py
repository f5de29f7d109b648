"""Which resource the audit log names of each call that changes something."""

from __future__ import annotations

import pytest
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from headstart.v1 import export_pb2, model_pb2, training_pb2
from headstart_server.rpc.access import ACCESS
from headstart_server.rpc.auditing import resource_of

from tests.support.rpcs import Rpc, every_rpc, method_of

CHANGING = [rpc for rpc in every_rpc() if rpc.method in ACCESS and ACCESS[rpc.method].changes]


def named(kind: type[Message], depth: int = 2) -> Message:
    """A message whose names of resources are set, also within its messages."""
    message = kind()
    for field in message.DESCRIPTOR.fields:
        if field.is_repeated:
            continue
        if field.message_type is None:
            if field.name in ("name", "job", "export_job", "model") and field.type == field.TYPE_STRING:
                setattr(message, field.name, "things/abc")
        elif depth and field.message_type.file.package == "headstart.v1":
            inner = getattr(message, field.name)
            inner.CopyFrom(named(type(inner), depth - 1))
    return message


@pytest.mark.parametrize("rpc", CHANGING, ids=str)
def test_what_every_call_changes_is_named_in_its_request_or_its_answer(rpc: Rpc) -> None:
    method = method_of(rpc)
    kinds = [GetMessageClass(each) for each in (method.input_type, method.output_type)]
    assert "things/abc" in [resource_of(named(kind)) for kind in kinds]


def test_the_resource_is_that_which_is_made_or_changed() -> None:
    event = training_pb2.TrainJobEvent(job="trainJobs/j1", sequence=1)
    assert resource_of(training_pb2.TrainJobResponse(event=event)) == "trainJobs/j1"
    model = model_pb2.Model(name="models/m1", job="trainJobs/j1")
    assert resource_of(model_pb2.UpdateModelRequest(model=model)) == "models/m1"
    alias = model_pb2.SetModelAliasRequest(name="models/sentiment@production", model="models/m1")
    assert resource_of(alias) == "models/sentiment@production"
    assert resource_of(export_pb2.ExportResponse(export_job="exportJobs/e1")) == "exportJobs/e1"


def test_what_is_no_name_is_not_logged() -> None:
    assert resource_of(model_pb2.DeleteModelRequest(name="my password")) == ""
