"""What a server cannot listen with is named, with its setting, before gRPC tries."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from headstart_server.core.errors import FailedPreconditionError
from headstart_server.rpc.listening import require_free_port, require_key_pair


def test_a_port_that_somebody_has_is_refused_with_its_flag() -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        with pytest.raises(
            FailedPreconditionError, match=rf"127\.0\.0\.1 port {port}: Address already in use.*--port,"
        ):
            require_free_port("127.0.0.1", port, "--port")
    require_free_port("127.0.0.1", port, "--port")
    require_free_port("localhost", 0, "--port")


@pytest.mark.parametrize("host", ["203.0.113.7", "no.such.host.invalid"])
def test_an_address_of_no_interface_is_refused(host: str) -> None:
    with pytest.raises(FailedPreconditionError, match=rf"cannot listen on {host} port 0"):
        require_free_port(host, 0, "--port")


@pytest.mark.parametrize(
    "content", [None, b"", b"no PEM", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_certificate_that_cannot_be_read_is_refused_in_one_line(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "server.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FailedPreconditionError, match=r"server\.pem cannot be used: .*; give a PEM") as caught:
        require_key_pair(path, path)
    assert "\n" not in caught.value.message
