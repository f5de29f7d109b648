"""Requests to train, as orders."""

import hashlib
from functools import partial

from headstart.v1 import training_pb2 as pb

from headstart_server.core.errors import invalid
from headstart_server.core.labels import check_labels
from headstart_server.core.names import id_of
from headstart_server.jobs.records import JobDetails
from headstart_server.rpc.messages import check_length, spec_values
from headstart_server.rpc.tables import arrow_table
from headstart_server.service.admission import ROLES, DataPath, DataSource, InlineData, TrainOrder, UploadedData
from headstart_server.spec.ludwig.rewriting import Reading
from headstart_server.spec.model import TrainSpec
from headstart_server.spec.parse import parse_values, read_spec

LENGTHS = {"request_id": 128, "display_name": 128, "description": 2_048}
_MOST_PRIORITY, _MOST_SECONDS = 100, 10 * 365 * 86_400.0


def same_body(request: pb.CreateTrainJobRequest | pb.PlanTrainJobRequest) -> pb.TrainJobRequest:
    """The request that TrainJob would be sent, whose fields have the same numbers: a test compares them."""
    return pb.TrainJobRequest.FromString(request.SerializeToString())


def order_of(request: pb.TrainJobRequest) -> TrainOrder:
    """What a request asks for; raises InvalidInputError."""
    for field, most in LENGTHS.items():
        check_length(field, getattr(request, field), most)
    spec, reading = _spec(request)
    roles = [role for role in ROLES if request.HasField(role)]
    return TrainOrder(
        request_id=request.request_id,
        digest=_digest(request),
        display_name=request.display_name,
        spec=spec,
        reading=reading,
        data={role: data_source(getattr(request, role), role) for role in roles},
        details=JobDetails(
            description=request.description,
            labels=check_labels(request.labels),
            priority=check_priority(request.priority),
            timeout=_seconds(request, "timeout", 1.0),
            ttl=_seconds(request, "ttl", 0.0),
            initial_model=request.initial_model,
        ),
    )


def check_priority(given: int, field: str = "priority") -> int:
    """A job's priority; raises InvalidInputError."""
    if abs(given) > _MOST_PRIORITY:
        raise invalid(field, f"{given} is out of range; use -{_MOST_PRIORITY} to {_MOST_PRIORITY}")
    return given


def _seconds(request: pb.TrainJobRequest, field: str, least: float) -> float | None:
    """A time in seconds; None where it is not set. Raises InvalidInputError."""
    if not request.HasField(field):
        return None
    duration = getattr(request, field)
    seconds = float(duration.seconds + duration.nanos / 1e9)
    if not least <= seconds <= _MOST_SECONDS:
        raise invalid(field, f"{seconds:g} s is out of range; use {least:g} s to {_MOST_SECONDS:g} s")
    return seconds


def _spec(request: pb.TrainJobRequest) -> tuple[TrainSpec, Reading]:
    """The parsed spec, and how it was read."""
    match request.WhichOneof("spec_source"):
        case "spec":
            return parse_values(spec_values(request.spec)), Reading()
        case "spec_yaml":
            return read_spec(request.spec_yaml)
        case _:
            raise invalid("spec", "is missing; set spec or spec_yaml")


def data_source(source: pb.DatasetSource, role: str) -> DataSource:
    """Where rows are; raises InvalidInputError."""
    match source.WhichOneof("source"):
        case "dataset":
            return UploadedData(id_of("datasets", source.dataset, f"{role}.dataset"), source.table_file)
        case "path":
            return DataPath(source.path, source.table_file)
        case "table":
            return InlineData(partial(arrow_table, source.table, f"{role}.table"), source.table_file)
        case _:
            raise invalid(role, "is empty; set dataset, path or table")


def _digest(request: pb.TrainJobRequest) -> str:
    """Identity of a request's body."""
    body = pb.TrainJobRequest()
    body.CopyFrom(request)
    body.request_id = ""
    body.heartbeat_seconds, body.max_events = 0.0, 0
    # maps in one order; the bytes may still change with protobuf's release, and a repeated request is refused then
    # (https://protobuf.dev/programming-guides/serialization-not-canonical/)
    return hashlib.sha256(body.SerializeToString(deterministic=True)).hexdigest()
