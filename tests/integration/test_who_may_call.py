"""Servers that ask who calls: each kind of credential, what is refused, and files that change while they serve."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import headstart
import httpx
import pytest
from headstart_server.auth.token_command import main as token_command

from tests.support import reviews
from tests.support.certificates import Authority, Pair, server_pair
from tests.support.issuer import AUDIENCE, TokenIssuer
from tests.support.running_server import RunningServer

PATIENCE = 60.0


def eventually(what: str, true: Callable[[], bool]) -> None:
    """Waits for what a server does by itself within seconds."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


class Asking:
    """A server that knows tokens and an issuer, and what it has written down."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self.tokens, self.issuer, self.audit = folder / "tokens", TokenIssuer(), folder / "audit"
        self.keys = folder / "keys.json"
        self.tokens.touch()
        self.publish()
        known = ["--token-file", str(self.tokens), "--audit-log", str(self.audit)]
        issued = ["--oidc-issuer", self.issuer.url, "--oidc-audience", AUDIENCE, "--oidc-jwks", str(self.keys)]
        self.server = RunningServer(folder / "state", *known, *issued, *flags, http=True)

    def publish(self) -> None:
        """Writes the issuer's keys where the server reads them."""
        self.keys.write_text(json.dumps(self.issuer.key_set))

    def client(self, token: str | None = None) -> headstart.Client:
        """Somebody with a token, or nobody."""
        return headstart.Client(self.server.address, token=token)

    def is_let_in(self, token: str | None) -> bool:
        """Whether the server knows who that is."""
        try:
            with self.client(token) as client:
                client.server_info()
        except headstart.Unauthenticated:
            return False
        return True

    def audited(self) -> list[dict[str, Any]]:
        """The lines so far."""
        return [json.loads(line) for line in self.audit.read_text().splitlines()]


@pytest.fixture
def new_token(capsys: pytest.CaptureFixture[str]) -> Callable[[Path, str, str], str]:
    """Makes a token by the command, with a line in a file; returns it."""

    def make(file: Path, name: str, scopes: str) -> str:
        assert token_command([name, "--tenant", "search", "--scopes", scopes, "--token-file", str(file)]) == 0
        return capsys.readouterr().out.strip()

    return make


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory, model_root: Path) -> Iterator[Asking]:
    data_root = tmp_path_factory.mktemp("data")
    (data_root / "search").mkdir()  # a tenant reads below the folder of its name
    reviews.write_csv(data_root / "search" / "reviews.csv", reviews.make_rows(240))
    roots = ("--model-root", str(model_root), "--data-root", str(data_root), "--fast-precision", "fp32")
    found = Asking(tmp_path_factory.mktemp("asking"), *roots)
    with found.server:
        yield found


Make = Callable[[Path, str, str], str]


def test_a_token_trains_and_predicts_as_far_as_its_scopes_go(asking: Asking, new_token: Make) -> None:
    token = new_token(asking.tokens, "ada", "train,read,predict")
    eventually("the token", lambda: asking.is_let_in(token))
    with asking.client(token) as client:
        job = client.train(reviews.spec(epochs=1), headstart.ServerPath("reviews.csv")).result()
        assert len(client.predict(job.model, reviews.make_rows(2))["verdict"].values) == 2
        with pytest.raises(headstart.PermissionDenied, match=r"needs the scope 'admin'; .* predict, read, train"):
            client.models.delete(job.model)
    lines = [(line["method"].split("/")[1], line["outcome"], line["resource"]) for line in asking.audited()]
    assert ("TrainJob", "done", job.name) in lines
    assert ("DeleteModel", "refused", "") in lines
    assert {line["principal"] for line in asking.audited() if line["outcome"] == "done"} == {"ada"}
    written = asking.audit.read_text() + asking.server.log
    assert token not in written and "reviews.csv" not in asking.audit.read_text()


def test_a_token_of_the_issuer_says_who_calls_and_an_old_one_does_not(asking: Asking) -> None:
    assert asking.is_let_in(asking.issuer.token())
    with asking.client(asking.issuer.token(scope="predict")) as client, pytest.raises(headstart.PermissionDenied):
        list(client.jobs.list())
    over = asking.issuer.token(exp=int(time.time()) - 3600)
    with asking.client(over) as client, pytest.raises(headstart.Unauthenticated, match="is over"):
        client.server_info()
    asking.issuer.rotate("next")
    token = asking.issuer.token()
    assert not asking.is_let_in(token)
    asking.publish()
    eventually("the next key", lambda: asking.is_let_in(token))


@pytest.mark.parametrize("token", [None, "headstart_made-up"])
def test_nobody_else_is_let_in_by_grpc_or_http(asking: Asking, token: str | None) -> None:
    assert not asking.is_let_in(token)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    for path, status in (("/api/v1/models", 401), ("/metrics", 401), ("/", 200), ("/readyz", 200)):
        assert httpx.get(asking.server.url + path, headers=headers, timeout=60).status_code == status


def test_http_takes_the_same_token(asking: Asking, new_token: Make) -> None:
    token = new_token(asking.tokens, "scraper", "metrics")
    eventually("the token", lambda: asking.is_let_in(token))
    headers = {"Authorization": f"Bearer {token}"}
    found = httpx.get(f"{asking.server.url}/metrics", headers=headers, timeout=60)
    assert "headstart_authentication_failures_total" in found.text
    assert httpx.get(f"{asking.server.url}/api/v1/models", headers=headers, timeout=60).status_code == 403


def test_lines_come_and_go_while_the_server_runs_and_wrong_ones_change_nothing(asking: Asking, new_token: Make) -> None:
    kept = asking.tokens.read_text()
    token = new_token(asking.tokens, "passing", "read")
    assert not asking.is_let_in("headstart_made-up")
    eventually("the token", lambda: asking.is_let_in(token))
    asking.tokens.write_text(f"{asking.tokens.read_text()}a wrong line\n")
    eventually("the refusal", lambda: "has 3 fields; write NAME TENANT SCOPES CREDENTIAL" in asking.server.log)
    assert asking.is_let_in(token)
    asking.tokens.write_text(kept)
    eventually("the end of the token", lambda: not asking.is_let_in(token))


def test_a_certificate_says_who_calls_and_a_renewed_one_is_served(tmp_path: Path) -> None:
    authority = Authority.named("ours")
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    (tmp_path / "tokens").write_text("batch search read certificate:batch.svc\n")
    served = Pair.written(tmp_path, "server", server_pair(authority))
    mine = Pair.written(tmp_path, "mine", authority.signed("batch", "batch.svc"))
    clients = ("--tls-client-ca", str(tmp_path / "ca.pem"), "--token-file", str(tmp_path / "tokens"))
    with RunningServer(tmp_path / "state", *served.flags, *clients, "--fast-precision", "fp32") as server:

        def client(root: Path) -> headstart.Client:
            return headstart.Client(
                server.address,
                root_certificates=root,
                client_certificate=mine.certificate,
                client_key=mine.key,
                timeout=10,
                retry=headstart.RetryPolicy(give_up_after=0),
            )

        with client(tmp_path / "ca.pem") as batch:
            assert list(batch.jobs.list()) == []
            with pytest.raises(headstart.PermissionDenied, match="needs the scope 'admin'"):
                batch.models.delete("models/x")
        # another authority signs the next certificate: whoever trusts that alone is answered once it is served
        other = Authority.named("next")
        (tmp_path / "next.pem").write_bytes(other.pem)
        served.write(server_pair(other))

        def is_served() -> bool:
            try:
                with client(tmp_path / "next.pem") as found:
                    return bool(found.server_info().version)
            except headstart.Unavailable:
                return False

        eventually("the renewed certificate", is_served)
        with client(tmp_path / "ca.pem") as late, pytest.raises(headstart.HeadstartError):
            late.server_info()
