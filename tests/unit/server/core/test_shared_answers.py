"""What many ask at once is asked once, and again when the answer is old."""

from __future__ import annotations

import asyncio

import pytest
from headstart_server.core.shared_answers import SharedAnswers


async def test_many_who_ask_at_once_share_one_answer() -> None:
    asked: list[int] = []

    async def ask() -> int:
        asked.append(len(asked))
        await asyncio.sleep(0.01)
        return len(asked)

    answers: SharedAnswers[int] = SharedAnswers(60.0)
    assert await asyncio.gather(*(answers.of("a", ask) for _ in range(10))) == [1] * 10
    assert await answers.of("a", ask) == 1
    assert await answers.of("b", ask) == 2
    assert len(asked) == 2


async def test_an_old_answer_is_asked_for_again() -> None:
    answers: SharedAnswers[int] = SharedAnswers(0.0)
    numbers = iter(range(9))

    async def ask() -> int:
        return next(numbers)

    found = []
    for _ in range(3):
        found.append(await answers.of("a", ask))
        await asyncio.sleep(0.002)
    assert found == [0, 1, 2]


async def test_who_goes_takes_the_answer_from_nobody_and_errors_reach_all() -> None:
    answers: SharedAnswers[int] = SharedAnswers(60.0)
    go = asyncio.Event()

    async def ask() -> int:
        await go.wait()
        raise LookupError("gone")

    first, second = (asyncio.ensure_future(answers.of("a", ask)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    go.set()
    with pytest.raises(LookupError):
        await second
