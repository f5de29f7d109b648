"""A server that asks who calls: the page asks for a token, keeps it in its tab, and lets go of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from headstart_server.auth.token_command import main as token_command

from tests.page.browsing import Browsing
from tests.support.running_server import RunningServer

Signed = tuple[RunningServer, str]


@pytest.fixture
def asking(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Signed]:
    tokens = tmp_path / "tokens"
    assert token_command(["ada", "--scopes", "read", "--token-file", str(tokens)]) == 0
    token = capsys.readouterr().out.strip()
    with RunningServer(tmp_path / "state", "--token-file", str(tokens), http=True) as server:
        yield server, token


def test_the_page_asks_for_a_token_and_keeps_it_in_its_tab(asking: Signed, browsing: Browsing) -> None:
    server, token = asking
    page = browsing.open(f"{server.url}/#/models")
    field = page.get_by_label("Token")
    field.fill("headstart_made-up")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("not known to this server").wait_for()
    field.fill(token)
    field.press("Enter")
    page.get_by_role("heading", name="Models", level=1).wait_for()
    page.get_by_text("Headstart").first.wait_for()
    page.reload()
    page.get_by_role("heading", name="Models", level=1).wait_for()
    assert page.get_by_label("Token").count() == 0
    # another tab, which knows nothing of it
    browsing.open(f"{server.url}/#/jobs").get_by_role("heading", name="Sign in", level=1).wait_for()


def test_signing_out_forgets_the_token(asking: Signed, browsing: Browsing) -> None:
    server, token = asking
    page = browsing.open(f"{server.url}/#/jobs")
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Jobs", level=1).wait_for()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("heading", name="Sign in", level=1).wait_for()
    assert page.evaluate("sessionStorage.length") == 0


def test_the_store_is_shown_to_who_may_not_see_the_metrics(asking: Signed, browsing: Browsing) -> None:
    server, token = asking
    page = browsing.open(f"{server.url}/#/embeddings")
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("The store is empty.").wait_for()
    assert page.get_by_text("Hit rate").count() == 0
