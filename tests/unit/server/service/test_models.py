"""Filtered lists read what they need; an alias never names a model that is gone; what people say outlives nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from headstart_server.core.errors import FailedPreconditionError, NotFoundError
from headstart_server.core.executors import Executors
from headstart_server.core.filters import parse
from headstart_server.core.principal import Principal
from headstart_server.core.reasons import Reason
from headstart_server.core.states import State
from headstart_server.engines.events import ModelPublished, StateChange
from headstart_server.jobs.models import Alias, ModelStore
from headstart_server.jobs.store import JobStore
from headstart_server.model.bundle import Bundle
from headstart_server.model.registry import ModelRegistry
from headstart_server.service.model_names import ModelNames
from headstart_server.service.models import FIELDS, SEARCHED, ModelService
from headstart_server.training.reports import EpochReport

from tests.support.bundles import saved_bundle
from tests.support.fake_predictor import EmptyModelPool
from tests.support.fake_workers import job_record
from tests.support.job_logs import owned
from tests.support.tenancy import tenants_of

CALLER = Principal("a")
MODELS = ("m1", "m2", "m3", "m4")


@pytest.fixture
async def service(tmp_path: Path, tiny_bert: Path) -> AsyncIterator[ModelService]:
    """Over four models that have their own ids for names."""
    for name in MODELS:
        saved_bundle(tmp_path / "tenants" / "a", tiny_bert, trainable=False, name=name)
    jobs, executors = JobStore(f"sqlite:///{tmp_path / 'jobs.sqlite'}"), Executors()
    pool: Any = EmptyModelPool()
    tenants = tenants_of(tmp_path, unpublished=jobs.unpublished)
    yield ModelService(tenants, pool, executors, ModelNames.of(jobs, executors))
    jobs.close()


async def names(service: ModelService, text: str, limit: int = 9, before: str = "") -> list[str]:
    found = await service.listed(CALLER, limit, before, parse(text, FIELDS, SEARCHED))
    return [model.bundle.folder.name for model in found]


async def test_a_filtered_list_opens_the_models_that_it_gives_and_no_others(
    service: ModelService, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, described = list[str](), ModelRegistry._described

    def noted(registry: ModelRegistry, name: str) -> Bundle:
        read.append(name)
        return described(registry, name)

    monkeypatch.setattr(ModelRegistry, "_described", noted)
    assert await names(service, "display_name = m2 OR display_name = m1") == ["m2", "m1"]
    assert read == ["m2", "m1"]
    assert await names(service, "NOT display_name = m4", limit=2) == ["m3", "m2"]
    assert await names(service, "NOT display_name = m4", limit=2, before="m2") == ["m1"]


async def test_a_list_is_filtered_by_what_is_said_now(service: ModelService) -> None:
    updated = await service.update(CALLER, "m3", lambda labels: {"labels": {**labels, "team": "search"}})
    assert dict(updated.details.labels) == {"team": "search"}
    assert await names(service, "labels.team = search") == ["m3"]
    assert await names(service, "labels:team") == ["m3"]
    await service.update(CALLER, "m3", lambda _: {"display_name": "reviews"})
    assert (await names(service, "m3"), await names(service, "reviews")) == ([], ["m3"])


async def test_a_model_is_deleted_once_no_alias_names_it(service: ModelService) -> None:
    await service.set_alias(CALLER, "x@live", "m1", "")
    with pytest.raises(FailedPreconditionError, match="models/x@live names models/m1") as refused:
        await service.delete(CALLER, "m1")
    assert (refused.value.reason, refused.value.field) == (Reason.MODEL_HAS_ALIAS, "name")
    await service.set_alias(CALLER, "x@live", "m2", "m1")
    await service.delete(CALLER, "m1")
    assert await names(service, "display_name = m1") == []
    assert [alias.model for alias in await service.aliases(CALLER, 9, "", "")] == ["m2"]


async def test_a_page_of_a_filtered_list_is_full_though_a_model_is_damaged(service: ModelService) -> None:
    (service._tenants.of("a").models.get("m3").folder / "model.safetensors").write_bytes(b"damaged")
    (service._tenants.of("a").models.get("m3").folder / "bundle.json").write_bytes(b"{")
    assert await names(service, "NOT display_name = m4", limit=2) == ["m2", "m1"]


def delete_meanwhile(service: ModelService, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model m1 is deleted when an alias has just been given to it."""
    registry, set_alias = service._tenants.of("a").models, ModelStore.set_alias

    def late(store: ModelStore, *arguments: Any) -> tuple[Alias, str]:
        found = set_alias(store, *arguments)
        registry.delete("m1")
        return found

    monkeypatch.setattr(ModelStore, "set_alias", late)


async def test_an_alias_of_a_model_that_is_deleted_meanwhile_is_not_kept(
    service: ModelService, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotFoundError) as missing:
        await service.set_alias(CALLER, "x@live", "nothing", "")
    assert missing.value.field == "model"
    delete_meanwhile(service, monkeypatch)
    with pytest.raises(NotFoundError, match="models/m1 does not exist"):
        await service.set_alias(CALLER, "x@live", "m1", "")
    assert await service.aliases(CALLER, 9, "", "") == []
    with pytest.raises(NotFoundError):
        await service._names.identifier(CALLER, "models/x@live")


async def test_an_alias_names_what_it_did_where_the_next_model_is_deleted_meanwhile(
    service: ModelService, monkeypatch: pytest.MonkeyPatch
) -> None:
    await service.set_alias(CALLER, "x@live", "m2", "")
    delete_meanwhile(service, monkeypatch)
    with pytest.raises(NotFoundError, match="models/m1 does not exist"):
        await service.set_alias(CALLER, "x@live", "m1", "")
    assert await service._names.identifier(CALLER, "models/x@live") == "m2"


async def test_an_alias_that_is_set_while_its_model_is_deleted_goes_with_it(
    service: ModelService, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete = ModelRegistry.delete

    def meanwhile(registry: ModelRegistry, identifier: str) -> None:
        service._store.set_alias("a", "x@live", identifier)
        delete(registry, identifier)

    monkeypatch.setattr(ModelRegistry, "delete", meanwhile)
    await service.delete(CALLER, "m1")
    assert await service.aliases(CALLER, 9, "", "") == []


async def test_what_a_worker_has_published_is_a_model_once_its_job_has_succeeded(
    service: ModelService, tmp_path: Path
) -> None:
    jobs = JobStore(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    job = owned(jobs, jobs.create(job_record(tenant="a", identifier="m4"))[0].identifier)
    for state in (State.PREPARING, State.PUBLISHING):
        jobs.append("m4", StateChange(state))
    for use in (
        lambda: service.get(CALLER, "m4"),
        lambda: service.update(CALLER, "m4", lambda _: {"display_name": "early"}),
        lambda: service.delete(CALLER, "m4"),
        lambda: service.set_alias(CALLER, "x@live", "m4", ""),
    ):
        with pytest.raises(NotFoundError, match="models/m4 does not exist"):
            await use()
    assert await names(service, "NOT display_name = x") == ["m3", "m2", "m1"]
    assert [bundle.folder.name for bundle in await service.newest(CALLER, 9, "")] == ["m3", "m2", "m1"]
    jobs.end("m4", State.SUCCEEDED, attempt=job.attempt, published=ModelPublished("m4", EpochReport(1, 1, {}, {})))
    assert (await service.get(CALLER, "m4")).bundle.folder.name == "m4"
    assert await names(service, "NOT display_name = x") == ["m4", "m3", "m2", "m1"]
    jobs.delete("m4")
    assert (await service.get(CALLER, "m4")).bundle.folder.name == "m4"
    jobs.close()
