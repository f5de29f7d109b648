"""Jobs, models, data sets and the store are listed, shown and deleted; the server's own commands are handed over."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.command_line import Run
from tests.support.fake_server import FakeServer


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["jobs", "list"], [f"trainJobs/j{number}" for number in range(5)]),
        (["jobs", "get", "j1"], ["trainJobs/j1"]),
        (["jobs", "cancel", "j1"], ["trainJobs/j1"]),
        (["models", "list"], ["models/m1"]),
        (["models", "get", "m1"], ["models/m1"]),
        (["exports", "list"], ["exportJobs/e1"]),
        (["exports", "get", "e1"], ["exportJobs/e1"]),
        (["exports", "cancel", "e1"], ["exportJobs/e1"]),
        (["store", "list"], ["embeddingSpaces/s1"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_resources_are_json_lines_for_machines_and_readable_for_people(
    run: Run, arguments: list[str], names: list[str]
) -> None:
    assert [line["name"] for line in run(*arguments, "--json").lines] == names
    shown = run(*arguments)
    assert shown.code == 0
    assert all(name in shown.out for name in names)


def test_deleting_says_so(run: Run, server: FakeServer) -> None:
    assert run("models", "delete", "m1", "--json").lines == [{"deleted": "m1"}]
    assert run("store", "delete", "s1").code == 0
    assert (server.models.deleted, server.embedding.deleted) == (["models/m1"], ["embeddingSpaces/s1"])
    assert run("jobs", "delete", "j1").code == 4


def test_data_sets_are_uploaded_and_listed(run: Run, rows: Path) -> None:
    (uploaded,) = run("datasets", "upload", rows, "--json").lines
    assert [line["name"] for line in run("datasets", "list", "--json").lines] == [uploaded["name"]]
    assert uploaded["name"] in run("datasets", "list").out


def test_info_and_plan_are_read_by_people_and_machines(run: Run, spec: Path, rows: Path) -> None:
    assert run("info", "--json").lines[0]["version"] == "9.9.9"
    assert "minilm" in run("info").out
    assert run("plan", spec, "--data", rows, "--json").lines[0]["encode"][0]["rows_encoded"] == "3"
    shown = run("plan", spec, "--data", rows).out
    assert "7 found, 0 repeated, 3 encoded" in shown
    assert "trainer.batch_size" in shown


@pytest.mark.parametrize(
    ("arguments", "module", "handed"),
    [
        (["serve", "--state-dir", "s", "--port", "0"], "headstart_server.app", ["--state-dir", "s", "--port", "0"]),
        (["serve", "--help"], "headstart_server.app", ["--help"]),
        (["backup", "--state-dir", "s", "copy"], "headstart_server.jobs.backup", ["--state-dir", "s", "copy"]),
        (
            ["store", "verify", "--state-dir", "s"],
            "headstart_server.embedding_store.cli",
            ["verify", "--state-dir", "s"],
        ),
        (["store", "stats", "--help"], "headstart_server.embedding_store.cli", ["stats", "--help"]),
        (["store", "compact", "--json"], "headstart_server.embedding_store.cli", ["compact", "--json"]),
        (["store", "prune", "--json"], "headstart_server.embedding_store.cli", ["prune", "--json"]),
        (
            ["store", "list", "--state-dir", "s", "--json"],
            "headstart_server.embedding_store.cli",
            ["list", "--state-dir", "s", "--json"],
        ),
        (["store", "list", "--state-dir=s"], "headstart_server.embedding_store.cli", ["list", "--state-dir=s"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_servers_commands_get_their_arguments_as_they_are(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str], module: str, handed: list[str]
) -> None:
    got: list[list[str]] = []

    def take(argv: list[str]) -> int:
        got.append(argv)
        return 7

    fake = ModuleType(module)
    setattr(fake, "main", take)  # noqa: B010  (a module has no such attribute to the type checker)
    for parent in ("headstart_server", "headstart_server.embedding_store", "headstart_server.jobs"):
        monkeypatch.setitem(sys.modules, parent, ModuleType(parent))
    monkeypatch.setitem(sys.modules, module, fake)
    assert run(*arguments).code == 7
    assert got == [handed]


def test_a_missing_server_package_names_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "headstart_server.app", None)
    done = run("serve")
    assert done.code == 1
    assert "pip install 'headstart[server]'" in done.err


def test_a_server_that_lacks_one_of_its_libraries_names_what_to_install(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "headstart_server.composition", None)
    done = run("serve", "--port", "0")
    assert done.code == 1
    assert "pip install 'headstart[server]'" in done.err
