"""Object stores of every kind: among them an S3 server of this process, which others reach, too."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import boto3
import pytest
from headstart_server.core.files import published_file
from headstart_server.storage.object_store import FolderObjectStore, ObjectStore, RemoteObjectStore, object_store_at
from moto.server import ThreadedMotoServer

_SERVERS: dict[int, ThreadedMotoServer] = {}
"""By port."""
OBJECT_STORES = ("folder", "memory", "s3")


class MemoryObjectStore(RemoteObjectStore):
    """A store that publishes whole objects, as others do: fsspec's shows files that are put before they are written,
    and gives everybody who reads one the same place in it."""

    def publish(self, source: Path, name: str) -> None:
        self.write(name, source.read_bytes())

    def fetch(self, name: str, target: Path) -> None:
        data = self.read(name)
        with published_file(target) as temporary:
            temporary.write_bytes(data)


def object_store_of(kind: str, request: pytest.FixtureRequest, root: Path) -> ObjectStore:
    """An empty object store of a kind; needs the fixture `bucket`."""
    if kind == "folder":
        return FolderObjectStore(root / "object_store")
    if kind == "memory":
        return MemoryObjectStore.at(f"memory://{uuid.uuid4().hex}")
    return object_store_at(f"{request.getfixturevalue('bucket')}/{uuid.uuid4().hex}", "url")


@contextmanager
def s3_away() -> Iterator[None]:
    """Nobody reaches the server of `s3_server` meanwhile; what it holds stays."""
    port = int(os.environ["AWS_ENDPOINT_URL"].rpartition(":")[2])
    server = _SERVERS.pop(port)
    server.stop()
    try:
        yield
    finally:
        again = _SERVERS[port] = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
        again.start()


@contextmanager
def s3_server(host: str = "") -> Iterator[str]:
    """Runs a server, with the environment that points clients to it: to this machine's name where they are elsewhere.

    Yields the URL of a bucket of its own.
    """
    server = ThreadedMotoServer(ip_address="0.0.0.0" if host else "127.0.0.1", port=0, verbose=False)
    server.start()
    address, port = server.get_host_and_port()
    _SERVERS[port] = server
    found = {
        "AWS_ENDPOINT_URL": f"http://{host or address}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    bucket = f"headstart-{uuid.uuid4().hex[:12]}"
    try:
        with mock.patch.dict(os.environ, found):
            boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}").create_bucket(Bucket=bucket)
            yield f"s3://{bucket}"
    finally:
        _SERVERS.pop(port).stop()
