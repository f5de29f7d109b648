"""The connection that news comes by is made like all others, and what a database does not allow is said in one line."""

from __future__ import annotations

from contextlib import closing

import pytest
from headstart_server.core.errors import FailedPreconditionError
from headstart_server.jobs.connections import Database, connect, of_the_driver
from headstart_server.jobs.notices import Notices
from sqlalchemy import make_url


async def _ignored(*_: object) -> None:
    pass


def _notices(url: str, *, alone: bool = True) -> Notices:
    return Notices(Database(url), _ignored, _ignored, alone=alone)


def test_a_url_keeps_its_own_words_and_gets_the_rest() -> None:
    url = "postgresql+psycopg://u@h/db?connect_timeout=9&options=-c%20search_path%3Dx&sslmode=require"
    found = of_the_driver(connect(url))
    assert found["connect_timeout"] == "9"
    assert found["tcp_user_timeout"] == 15_000
    assert found["sslmode"] == "require"
    assert "-c statement_timeout=30000" in found["options"]
    assert found["options"].endswith("-c search_path=x")


async def test_several_hosts_are_listened_to_as_they_are_queried(postgres_url: str) -> None:
    url = make_url(postgres_url)
    assert url.database is not None
    host = f"host={url.host}:{url.port}"
    notices = _notices(f"postgresql+psycopg://{url.username}@/{url.database}?{host}&{host}")
    await notices.start()
    await notices.close()


async def test_postgresql_notices_within_seconds_that_a_server_is_gone(postgres_url: str) -> None:
    with closing(Database(postgres_url)) as database, database.reading() as connection:
        assert connection.exec_driver_sql("SHOW tcp_keepalives_idle").scalar() == "5"
    notices = _notices(postgres_url)
    await notices.start()
    try:
        found = await notices._connection.execute("SHOW tcp_keepalives_count")
        assert await found.fetchone() == ("3",)
    finally:
        await notices.close()


async def test_a_second_server_that_shares_no_files_is_refused(postgres_url: str) -> None:
    first, second = _notices(postgres_url), _notices(postgres_url)
    await first.start()
    try:
        with pytest.raises(FailedPreconditionError, match="another server uses this job database"):
            await second.start()
    finally:
        await first.close()
    await second.start()  # as soon as the first one is gone
    await second.close()


async def test_a_connection_that_cannot_be_had_is_named_in_one_line() -> None:
    with pytest.raises(FailedPreconditionError, match="takes no connection to listen on") as caught:
        await _notices("postgresql+psycopg://headstart@127.0.0.1:9/none").start()
    assert "\n" not in caught.value.message
