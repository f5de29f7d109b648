"""The generated stub of the training service, for what the Python client does not show."""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from headstart.v1.training_pb2_grpc import TrainingServiceStub

_OPTIONS = (("grpc.max_receive_message_length", 64 << 20),)


@contextmanager
def training_stub(address: str) -> Iterator[TrainingServiceStub]:
    """A stub over a connection of its own."""
    with grpc.insecure_channel(address, options=_OPTIONS) as channel:
        yield TrainingServiceStub(channel)  # type: ignore[no-untyped-call]
