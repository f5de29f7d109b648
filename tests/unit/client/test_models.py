"""What people say of models and aliases of them, from Python and on the command line; training on from a model."""

from __future__ import annotations

from pathlib import Path

import headstart
import pytest

from tests.support.command_line import Run
from tests.support.fake_server import FakeServer


def test_what_is_given_is_what_changes(server: FakeServer, client: headstart.Client) -> None:
    client.models.update("m1", description="of May")
    client.models.update("models/m1", display_name="", labels={})
    first, second = server.models.updates
    assert (first.model.name, list(first.update_mask.paths)) == ("models/m1", ["description"])
    assert list(second.update_mask.paths) == ["display_name", "labels"]


def test_aliases_are_set_read_listed_and_deleted(server: FakeServer, client: headstart.Client) -> None:
    assert client.models.set_alias("reviews@live", "m2", expected_model="m1").model == "models/m2"
    assert server.models.expected == "models/m1"
    assert client.models.alias("models/reviews@live").model == "models/m2"
    assert [alias.name for alias in client.models.aliases()] == ["models/old@live", "models/reviews@live"]
    assert [alias.name for alias in client.models.aliases("m1")] == ["models/old@live"]
    client.models.delete_alias("reviews@live")
    with pytest.raises(headstart.NotFound):
        client.models.alias("reviews@live")


async def test_asyncio_does_the_same(server: FakeServer, async_client: headstart.AsyncClient) -> None:
    await async_client.models.set_alias("reviews@live", "m2")
    assert (await async_client.models.alias("reviews@live")).model == "models/m2"
    assert [alias.name async for alias in async_client.models.aliases("m2")] == ["models/reviews@live"]
    await async_client.models.delete_alias("reviews@live")
    await async_client.models.update("m1", labels={"a": "b"})
    assert [model.name async for model in async_client.models.list('labels.a = "b"')] == ["models/m1"]
    assert (server.models.aliases, server.models.filters) == ({"models/old@live": "models/m1"}, ['labels.a = "b"'])


def test_lists_take_a_filter(server: FakeServer, client: headstart.Client) -> None:
    assert [model.name for model in client.models.list("labels.team = search")] == ["models/m1"]
    assert server.models.filters == ["labels.team = search"]


def test_a_job_begins_from_a_model_or_an_alias(server: FakeServer, client: headstart.Client) -> None:
    client.train("trainer: {}", {"x": [1]}, initial_model="old@live").result()
    client.plan("trainer: {}", {"x": [1]}, initial_model="models/m1")
    assert [request.initial_model for request in server.training.requests] == ["models/old@live", "models/m1"]


def test_the_command_line_names_models(server: FakeServer, run: Run, spec: Path, rows: Path) -> None:
    done = run("models", "alias", "set", "reviews@live", "m2", "--expect", "m1")
    assert (done.out, server.models.expected) == ("models/reviews@live names models/m2\n", "models/m1")
    (line,) = run("models", "alias", "list", "--model", "m2", "--json").lines
    assert (line["name"], line["model"]) == ("models/reviews@live", "models/m2")
    shown = run("models", "alias", "list").out
    assert "models/old@live" in shown and "models/m1" in shown
    assert run("models", "alias", "delete", "reviews@live").code == 0
    assert list(server.models.aliases) == ["models/old@live"]
    done = run("models", "update", "m1", "--description", "of May", "--label", "team=search", "--label", "x=", "--json")
    assert done.code == 0
    [update] = server.models.updates
    assert dict(update.model.labels) == {"team": "search", "x": ""}
    assert list(update.update_mask.paths) == ["description", "labels"]
    assert run("models", "update", "m1", "--label", "team").code == 2
    run("train", spec, "--data", rows, "--from-model", "old@live", "--json")
    assert server.training.requests[0].initial_model == "models/old@live"
