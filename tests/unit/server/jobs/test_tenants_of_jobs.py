"""A job is its tenant's, whatever its state and however damaged it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from headstart_server.core.errors import NotFoundError
from headstart_server.core.states import State
from headstart_server.jobs.store import JobStore

from tests.support.fake_workers import job_record, succeeds
from tests.support.supervised import Start, ended, submitted


def words(store: JobStore, tenant: str, identifier: str) -> str:
    with pytest.raises(NotFoundError) as refused:
        store.require(tenant, identifier)
    return f"{refused.value.reason} {refused.value.field} {refused.value.message.replace(identifier, 'ID')}"


def test_another_tenants_job_is_not_found_in_the_words_of_one_that_does_not_exist(store: JobStore) -> None:
    jobs = {tenant: store.create(job_record(tenant=tenant))[0].identifier for tenant in ("", "a", "b")}
    for tenant, own in jobs.items():
        store.require(tenant, own)
        others = [words(store, tenant, job) for owner, job in jobs.items() if owner != tenant]
        assert others == [words(store, tenant, "0" * 20)] * 2
    with pytest.raises(NotFoundError) as missing:
        store.get("0" * 20)
    assert words(store, "a", "0" * 20).endswith(missing.value.message.replace("0" * 20, "ID"))


def test_lists_are_of_one_tenant_page_by_page(store: JobStore) -> None:
    made = [store.create(job_record(tenant="ab"[number % 2]))[0].identifier for number in range(10)]
    first = store.newest(3, tenant="b")
    rest = store.newest(3, first[-1].identifier, tenant="b")
    assert [job.identifier for job in [*first, *rest]] == made[9::-2]
    assert {job.tenant for job in store.newest(99, states=[State.QUEUED], tenant="a")} == {"a"}
    assert (store.newest(99, tenant=""), len(store.newest(99))) == ([], 10)


async def test_a_job_travels_with_its_tenant(start: Start, store: JobStore) -> None:
    supervisor, _ = await start(succeeds())
    job = await ended(supervisor, store, await submitted(supervisor, tenant="a"))
    assert job.tenant == "a"
    assert supervisor.envelope_of(job).runtime.tenant == "a"


def test_the_tenant_is_stored(store: JobStore, database: Path) -> None:
    job, _ = store.create(job_record(tenant="a"))
    again = JobStore(f"sqlite:///{database}")
    assert again.get(job.identifier).tenant == "a"
    again.close()
