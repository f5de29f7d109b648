"""Calls in hand: bounded, refused once the server is stopping, and waited for."""

from __future__ import annotations

import asyncio

import pytest
from headstart_server.core.calls import Calls
from headstart_server.core.errors import OverloadedError, StoppingError


async def test_one_too_many_is_refused_until_another_has_ended() -> None:
    calls = Calls(2)
    with calls.one():
        with calls.one(), pytest.raises(OverloadedError, match="2 calls are in hand"), calls.one():
            pass
        with calls.one():
            pass


async def test_a_server_that_stops_takes_none_and_waits_for_those_in_hand() -> None:
    calls = Calls(2)
    assert await calls.ended(0)
    with calls.one():
        calls.stop()
        with pytest.raises(StoppingError), calls.one():
            pass
        assert not await calls.ended(0.01)
        waiting = asyncio.create_task(calls.ended(30))
        await asyncio.sleep(0)
        assert not waiting.done()
    assert await waiting
