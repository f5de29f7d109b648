"""How long an HTTP request waits for its answer: until its deadline, and no longer than its client is there."""

import asyncio
import re
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

from headstart_server.core import deadlines
from headstart_server.core.errors import CancelledError, DeadlineExceededError

T = TypeVar("T")
LONGEST_SECONDS = 3_600.0
# RFC 7240, section 4.3: whole seconds, among other preferences; what is written otherwise is no preference
_WAIT = re.compile(r'(?:^|,)\s*wait\s*=\s*"?(\d{1,9})"?\s*(?:[;,]|$)', re.IGNORECASE)


def preferred_seconds(request: Request) -> float | None:
    """What a request says in `Prefer: wait=SECONDS`, an hour at most; None where it says nothing."""
    found = _WAIT.search(", ".join(request.headers.getlist("prefer")))
    return None if found is None else min(LONGEST_SECONDS, float(found[1]))


async def answered(request: Request, work: Coroutine[Any, Any, T], seconds: float) -> T:
    """The result of some work, which is cancelled once nobody waits for it any more.

    Raises DeadlineExceededError after so many seconds, and CancelledError where the client has gone.
    """
    deadlines.begin(seconds)
    working, watching = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    both = {working, watching}
    try:
        await asyncio.wait(both, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        if watching.done():
            raise CancelledError("the client has gone")
        raise DeadlineExceededError(
            f"no answer within {seconds:g} s; allow more with the header Prefer: wait=SECONDS, or ask for less"
        )
    finally:
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)


async def _gone(request: Request) -> None:
    """Returns once the client has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
