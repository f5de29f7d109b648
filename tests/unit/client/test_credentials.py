"""Tokens and certificates of the client: sent where they are safe, refused elsewhere before anything is sent."""

from __future__ import annotations

from pathlib import Path

import headstart
import pytest
from headstart.cli.failure import failure_of
from headstart.wire.connection import Connection
from headstart.wire.hosts import is_this_machine
from headstart_server.settings import Settings

from tests.support.command_line import Run
from tests.support.fake_server import FakeServer

LOCAL = [
    "localhost:50051",
    "LOCALHOST",
    "127.0.0.1:1",
    "127.8.8.8",
    "[::1]:50051",
    "dns:///localhost:1",
    "ipv6:[::1]:1",
]
LOCAL += ["dns:localhost", "unix:/run/headstart.sock", "unix-abstract:headstart"]
ELSEWHERE = ["far:50051", "localhost.far:1", "10.0.0.1:1", "[::2]:1", "dns:///far:1", "dns://127.0.0.1/localhost:1", ""]
ELSEWHERE += ["ipv4:127.0.0.1:1,10.0.0.1:1", "xds:///localhost:1", "127.0.0.1.far:1", "localhost@far:1", "0.0.0.0:1"]
VARIABLES = (
    "SERVER",
    "TOKEN",
    "BEARER_TOKEN_FILE",
    "ROOT_CERTIFICATES",
    "TLS",
    "PLAINTEXT_TOKEN",
    "CLIENT_CERTIFICATE",
    "CLIENT_KEY",
)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(f"HEADSTART_{name}", raising=False)


@pytest.mark.parametrize("address", LOCAL)
def test_a_token_is_sent_to_this_machine_without_tls(address: str) -> None:
    assert is_this_machine(address)
    assert Connection.resolve(address, token="secret").metadata == (("authorization", "Bearer secret"),)


@pytest.mark.parametrize("address", ELSEWHERE)
def test_a_token_is_not_sent_elsewhere_where_others_may_read_it(address: str) -> None:
    assert not is_this_machine(address)
    if not address:
        return
    with pytest.raises(headstart.InvalidArgument, match="without TLS, where others may read it") as refused:
        headstart.Client(address, token="secret")
    assert "secret" not in str(refused.value)
    assert Connection.resolve(address, token="secret", tls=True).metadata
    assert Connection.resolve(address, token="secret", plaintext_token=True).metadata
    assert Connection.resolve(address).metadata == ()


def test_the_environment_may_say_that_the_network_is_nobody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_PLAINTEXT_TOKEN", "1")
    assert Connection.resolve("far:1", token="t").token == "t"
    with pytest.raises(headstart.InvalidArgument):
        Connection.resolve("far:1", token="t", plaintext_token=False)


def test_a_line_feed_at_the_end_of_a_token_is_no_part_of_it() -> None:
    assert Connection.resolve(token="t\n").token == "t"


@pytest.mark.parametrize("token", ["a b", "a\nauthorization: b", "é", "a\x00"])
def test_what_is_no_token_is_refused_and_not_told(token: str) -> None:
    with pytest.raises(headstart.InvalidArgument, match="no token has") as refused:
        Connection.resolve(token=token)
    assert token not in str(refused.value)


def test_a_token_that_changes_is_asked_for_at_each_call(server: FakeServer) -> None:
    tokens = iter(["first", "second\n"])
    with headstart.Client(server.address, token=lambda: next(tokens)) as client:
        for expected in ("first", "second"):
            client.predict("m1", {"review": ["a"]})
            assert server.prediction.metadata["authorization"] == f"Bearer {expected}"


async def test_asyncio_asks_for_it_at_each_call_too(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADSTART_BEARER_TOKEN_FILE", str(tmp_path / "token"))
    async with headstart.AsyncClient(server.address) as client:
        for expected in ("first", "second"):
            (tmp_path / "token").write_text(f"{expected}\n")
            await client.predict("m1", {"review": ["a"]})
            assert server.prediction.metadata["authorization"] == f"Bearer {expected}"


def test_a_token_of_a_file_is_kept_off_networks_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_BEARER_TOKEN_FILE", "/nowhere/token")
    with pytest.raises(headstart.InvalidArgument, match="without TLS"):
        Connection.resolve("far:1")
    assert Connection.resolve("far:1", token="t", tls=True).token == "t"


def test_no_variable_of_the_client_is_one_of_the_servers() -> None:
    """Both run in one container, where a server's token file is no token."""
    assert not {name.lower() for name in VARIABLES} & set(Settings.model_fields)


def test_secrets_are_not_shown_where_a_connection_is() -> None:
    shown = repr(Connection("a:1", "secret", client_certificate=(b"a key", b"a certificate")))
    assert "secret" not in shown and "a key" not in shown


def test_a_certificate_of_the_client_turns_tls_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = tmp_path / "me.pem", tmp_path / "me.key"
    certificate.write_bytes(b"CERTIFICATE")
    key.write_bytes(b"KEY")
    found = Connection.resolve("far:1", client_certificate=certificate, client_key=key)
    assert (found.tls, found.client_certificate) == (True, (b"KEY", b"CERTIFICATE"))
    monkeypatch.setenv("HEADSTART_CLIENT_CERTIFICATE", str(certificate))
    with pytest.raises(headstart.InvalidArgument, match="go together"):
        Connection.resolve("far:1")
    monkeypatch.setenv("HEADSTART_CLIENT_KEY", str(key))
    assert Connection.resolve("far:1") == found
    with pytest.raises(headstart.InvalidArgument, match="needs TLS"):
        Connection.resolve("far:1", tls=False)


def test_the_command_line_sends_the_token_that_it_is_given(run: Run, server: FakeServer, rows: Path) -> None:
    assert run("predict", "m1", "--data", rows, "--token", "secret").code == 0
    assert server.prediction.metadata["authorization"] == "Bearer secret"


def test_the_command_line_says_why_it_keeps_a_token(run: Run) -> None:
    outcome = run("info", "--server", "far:1", "--token", "secret")
    assert outcome.code == 2
    assert "HEADSTART_PLAINTEXT_TOKEN=1" in outcome.err and "secret" not in outcome.err


@pytest.mark.parametrize(
    ("error", "hint"),
    [(headstart.Unauthenticated("who?"), "HEADSTART_TOKEN"), (headstart.PermissionDenied("no"), "with this scope")],
)
def test_a_refusal_has_an_exit_code_of_its_own_and_says_what_to_do(error: Exception, hint: str) -> None:
    failure = failure_of(error, usage=RuntimeError)
    assert failure is not None
    assert (failure.exit_code, hint in failure.as_text()) == (8, True)
