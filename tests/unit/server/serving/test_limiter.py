"""What is taken waits for one batch at most; no tenant takes it all; and who is refused hears when to come back."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack

import pytest
from headstart_server.core import deadlines
from headstart_server.core.errors import OverloadedError
from headstart_server.serving.limiter import Limiter, Limits, Permit
from headstart_server.serving.speeds import Speeds

from tests.support.measured import Growth

SECONDS = 0.02


def limiter_of(limits: Limits | None = None, seconds: float = SECONDS) -> Limiter:
    """One that has measured a model whose rows take so long each, in batches too."""
    speeds = Speeds()
    for _ in range(20):
        speeds.observe("m", 4, 4 * seconds)
        speeds.observe("m", 1, seconds)
    return Limiter(limits or Limits(), speeds)


def taken(limiter: Limiter, stack: ExitStack, rows: int = 1, tenant: str = "", size: int = 1) -> Permit:
    return stack.enter_context(limiter.admitted(tenant, "m", rows, size))


def most_taken(limiter: Limiter, stack: ExitStack, rows: int = 1, tenant: str = "", size: int = 1) -> int:
    """How many calls are taken before one is refused."""
    for count in range(10_000):
        try:
            taken(limiter, stack, rows, tenant, size)
        except OverloadedError:
            return count
    raise AssertionError("nothing is ever refused")


def in_overload(limiter: Limiter, tenant: str = "") -> None:
    """Has a tenant send more than a burst may bring."""
    with ExitStack() as stack:
        most_taken(limiter, stack, tenant=tenant)


def test_a_burst_waits_for_as_long_as_the_operator_says() -> None:
    limiter = limiter_of(Limits(wait=1.0))
    with ExitStack() as stack:
        assert most_taken(limiter, stack) == pytest.approx(1.0 / SECONDS, abs=1)


def test_in_an_overload_as_much_waits_as_one_batch_computes_until_it_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [time.monotonic()]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    limiter, shed = limiter_of(), list[str]()
    limiter.shed = shed.append
    in_overload(limiter)
    for _ in range(20):
        now[0] += 1.0
        with ExitStack() as stack:
            # a batch may take half as long again as one row does, and two rows take twice as long
            assert most_taken(limiter, stack) == 1
            for _ in range(100):
                with pytest.raises(OverloadedError):
                    taken(limiter, stack)
    assert shed == [""]
    now[0] += 10.0
    with ExitStack() as stack:
        assert most_taken(limiter, stack) > 20
    assert shed == ["", ""]


def test_rows_that_are_answered_make_room() -> None:
    limiter = limiter_of()
    for _ in range(3):
        in_overload(limiter)
        with ExitStack() as stack:
            assert most_taken(limiter, stack) == 1


def test_in_an_overload_as_many_rows_wait_as_a_batch_holds() -> None:
    limiter = limiter_of()
    for _ in range(20):
        limiter.speeds.observe("m", 4, SECONDS)  # four rows take as long as one: a row of them a little over 5 ms
    in_overload(limiter)
    with ExitStack() as stack:
        assert most_taken(limiter, stack) == 5
    with ExitStack() as stack:
        assert most_taken(limiter, stack, rows=4) == 1


def test_a_large_call_waits_no_longer_than_it_computes_and_keeps_nobody_small_out() -> None:
    limiter = limiter_of()
    with ExitStack() as stack:
        assert most_taken(limiter, stack, rows=1_000) == 2
        assert most_taken(limiter, stack) == pytest.approx(0.75 / SECONDS, abs=1)
        assert most_taken(limiter, stack) == 0


def test_a_tenant_that_floods_keeps_no_other_out() -> None:
    limiter = limiter_of()
    with ExitStack() as stack:
        flood = most_taken(limiter, stack, tenant="one")
        assert limiter.overloaded("one") and not limiter.overloaded("two")
        assert most_taken(limiter, stack, tenant="two") >= flood / 2 - 1


@pytest.mark.parametrize(("rows", "size"), [(10, 1), (1, 10)])
def test_rows_and_bytes_are_bounded_and_a_tenant_leaves_room(rows: int, size: int) -> None:
    limiter = Limiter(Limits(rows=100, size=100), Speeds())
    with ExitStack() as stack:
        assert most_taken(limiter, stack, rows, "one", size) == 5
        assert most_taken(limiter, stack, rows, "two", size) == 3


def test_a_call_above_the_bounds_is_taken_where_nobody_else_is() -> None:
    limiter = Limiter(Limits(rows=100, size=100), Speeds())
    with ExitStack() as stack:
        taken(limiter, stack, 1_000, size=1_000)
        with pytest.raises(OverloadedError, match="1,000 rows of yours are in hand"):
            taken(limiter, stack)
    with ExitStack() as stack:
        taken(limiter, stack)


def test_a_model_that_nobody_has_measured_takes_a_bounded_number() -> None:
    limiter = Limiter(Limits(), Speeds())
    with ExitStack() as stack:
        assert most_taken(limiter, stack) == 256
        assert most_taken(limiter, stack, rows=1_000) == 4


def test_rows_that_turn_out_to_be_stored_or_fewer_take_no_time() -> None:
    limiter = limiter_of()
    with ExitStack() as stack:
        guessed = taken(limiter, stack, 1_000)
        limiter.counted(guessed, 500)
        assert (guessed.rows, guessed.waiting) == (500, 500)
        limiter.left(guessed, 0)
        assert most_taken(limiter, stack, rows=100) == 2


@pytest.mark.parametrize(("seconds", "refused"), [(10.0, False), (0.1, True)])
async def test_a_call_that_cannot_be_answered_in_time_is_refused(seconds: float, refused: bool) -> None:
    limiter = limiter_of(Limits(wait=5.0))

    async def hasty() -> bool:
        deadlines.begin(seconds)
        try:
            with limiter.admitted("", "m", 1, 1):
                return False
        except OverloadedError as error:
            assert "deadline" in error.message
            return True

    with ExitStack() as stack:
        for _ in range(20):
            taken(limiter, stack)
        assert await asyncio.create_task(hasty()) is refused


async def test_nobody_is_refused_for_a_deadline_while_nothing_waits() -> None:
    limiter = limiter_of(seconds=5.0)

    async def hasty() -> None:
        deadlines.begin(0.1)
        with limiter.admitted("", "m", 1, 1):
            pass

    await asyncio.create_task(hasty())


def test_the_more_is_refused_the_later_one_is_to_come_back() -> None:
    limiter, refused = limiter_of(), Growth("headstart_predict_rows_total", outcome="refused")
    delays = []
    with ExitStack() as stack:
        most_taken(limiter, stack)
        for _ in range(400):
            with pytest.raises(OverloadedError) as error:
                taken(limiter, stack)
            delays.append(error.value.retry_after)
    assert min(delays) > 0
    assert sum(delays[-20:]) / 20 > 4 * sum(delays[:20]) / 20
    assert max(delays) <= 30
    assert refused() == 401


def test_rows_that_are_counted_after_their_call_has_gone_stay_uncounted() -> None:
    """A thread may still read them, and the server would take fewer rows of everybody from then on."""
    limiter = Limiter(Limits(rows=1_000), Speeds())
    with ExitStack() as gone:
        permit = taken(limiter, gone, 100)
    limiter.counted(permit, 990)
    with ExitStack() as stack:
        taken(limiter, stack, 1)
        taken(limiter, stack, 400)
