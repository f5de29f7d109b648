"""Room is given out in order, never more than there is, and comes back from whoever leaves."""

from __future__ import annotations

import asyncio

from headstart_server.serving.places import Places


class Crowd:
    """Callers who hold places until they are let go."""

    def __init__(self, places: Places) -> None:
        self.places, self.held = places, 0
        self.inside: list[str] = []
        self.go: dict[str, asyncio.Event] = {}

    def come(self, name: str, places: int) -> asyncio.Task[None]:
        self.go[name] = asyncio.Event()

        async def stay() -> None:
            async with self.places.taken(places):
                self.inside.append(name)
                await self.go[name].wait()
            self.inside.remove(name)

        return asyncio.create_task(stay())


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_finds_no_room_waits_and_nobody_overtakes() -> None:
    crowd = Crowd(Places(10))
    tasks = [crowd.come(name, places) for name, places in (("a", 6), ("b", 6), ("c", 1))]
    await settled()
    assert crowd.inside == ["a"]
    crowd.go["a"].set()
    await settled()
    assert crowd.inside == ["b", "c"]
    for event in crowd.go.values():
        event.set()
    await asyncio.gather(*tasks)


async def test_more_places_than_there_are_take_all_of_them() -> None:
    crowd = Crowd(Places(10))
    first, large, last = crowd.come("first", 1), crowd.come("large", 99), crowd.come("last", 1)
    await settled()
    crowd.go["first"].set()
    await settled()
    assert crowd.inside == ["large"]
    crowd.go["large"].set()
    crowd.go["last"].set()
    await asyncio.gather(first, large, last)


async def test_places_of_those_who_leave_are_given_to_others() -> None:
    crowd = Crowd(Places(10))
    holding, waiting, last = crowd.come("holding", 10), crowd.come("waiting", 10), crowd.come("last", 10)
    await settled()
    waiting.cancel()
    holding.cancel()
    await settled()
    assert crowd.inside == ["holding", "last"]
    crowd.go["last"].set()
    await asyncio.gather(holding, waiting, last, return_exceptions=True)
    again = crowd.come("again", 10)
    await settled()
    assert crowd.inside[-1] == "again"
    crowd.go["again"].set()
    await again
