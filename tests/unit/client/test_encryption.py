"""With a root certificate the connection is encrypted, and only to the server that it vouches for."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import headstart
import pytest
from headstart.v1.server_pb2_grpc import add_ServerServiceServicer_to_server

from tests.support.fake_server import FakeInfo

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificates with openssl")


def certificate(directory: Path, name: str) -> tuple[Path, Path]:
    """Make a self-signed certificate for localhost."""
    key, pem = directory / f"{name}.key", directory / f"{name}.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]
    command = ["openssl", "req", "-x509", *kind, *subject, "-keyout", str(key), "-out", str(pem)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return key, pem


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    key, pem = certificate(tmp_path, "server")
    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool)
        add: Callable[..., None] = add_ServerServiceServicer_to_server
        add(FakeInfo(), server)
        credentials = grpc.ssl_server_credentials([(key.read_bytes(), pem.read_bytes())])
        port = server.add_secure_port("localhost:0", credentials)
        server.start()
        yield f"localhost:{port}"
        server.stop(None).wait()


def test_the_certificate_given_is_trusted_and_the_token_travels(address: str, tmp_path: Path) -> None:
    with headstart.Client(address, root_certificates=tmp_path / "server.pem", token="secret") as client:
        assert client.server_info().version == "9.9.9"


async def test_asyncio_speaks_tls_too(address: str, tmp_path: Path) -> None:
    async with headstart.AsyncClient(address, root_certificates=tmp_path / "server.pem") as client:
        assert (await client.server_info()).version == "9.9.9"


def test_another_certificate_is_not_trusted(address: str, tmp_path: Path) -> None:
    _, other = certificate(tmp_path, "other")
    with headstart.Client(address, root_certificates=other) as client, pytest.raises(headstart.Unavailable):
        client.server_info()


def test_an_encrypted_server_refuses_plain_text(address: str) -> None:
    with headstart.Client(address) as client, pytest.raises(headstart.Unavailable):
        client.server_info()
