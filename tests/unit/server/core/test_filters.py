"""Filters of lists: read as https://google.aip.dev/160 says, and refused with what could stand there."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.core.filters import Field, Kind, matches, parse

FIELDS = {
    "state": Field(Kind.CHOICE, ("QUEUED", "FAILED")),
    "display_name": Field(Kind.TEXT),
    "priority": Field(Kind.NUMBER),
    "end_time": Field(Kind.TIME),
    "labels": Field(Kind.LABELS),
}
VALUES = {
    "state": "FAILED",
    "display_name": "Nightly reviews",
    "priority": 5,
    "end_time": datetime(2026, 5, 1, 12, tzinfo=UTC),
    "labels": {"team": "search", "cost-center/eu": "7"},
}


def holds(text: str, **changes: Any) -> bool:
    return matches(parse(text, FIELDS, "display_name"), {**VALUES, **changes})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "state = FAILED",
        "state=STATE_FAILED",
        'state = "failed"',
        "state != QUEUED",
        "NOT state = QUEUED",
        "-state = QUEUED",
        "nightly",
        'display_name : "NIGHTLY rev"',
        'display_name = "Nightly*"',
        'display_name = "*reviews"',
        'display_name = "*ly*"',
        "priority >= 5 priority<6",
        "priority != -1",
        'end_time > "2026-05-01T13:30:00+02:00"',
        "end_time < 2026-05-02",
        'labels.team = "search"',
        "labels.team:*",
        "labels:team",
        "labels.cost-center/eu = 7",
        "labels.team : ear",
        "state = QUEUED OR state = FAILED",
        "state = FAILED AND (priority = 9 OR priority = 5)",
        # OR binds closer than AND: state is FAILED, and one of the others
        "state = FAILED AND priority = 9 OR priority = 5",
        "NOT (state = QUEUED OR priority = 9) nightly",
    ],
)
def test_what_a_filter_asks_for(text: str) -> None:
    assert holds(text)


@pytest.mark.parametrize(
    "text",
    [
        "state = QUEUED",
        "daily",
        'display_name = "nightly reviews"',
        'display_name = "reviews*"',
        "priority > 5",
        "end_time <= 2026-05-01T11:59:59Z",
        'labels.team = "sales"',
        'labels.owner != "sales"',  # what is unset fits nothing
        "labels:owner",
        "state = FAILED AND priority = 9",
        "state = QUEUED AND priority = 9 OR priority = 5",
    ],
)
def test_what_it_does_not(text: str) -> None:
    assert not holds(text)


def test_a_time_that_is_unset_fits_no_comparison_and_every_denial() -> None:
    assert not holds("end_time > 2020-01-01", end_time=None)
    assert not holds("end_time != 2020-01-01", end_time=None)
    assert holds("NOT end_time > 2020-01-01", end_time=None)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("colour = red", "names 'colour'; use one of state, display_name, priority, end_time, labels.KEY"),
        ("state.x = FAILED", "names 'state.x'"),
        ("state > FAILED", "compares state by '>'; use one of = !="),
        ("state = LATE", "compares state with 'LATE'; use one of QUEUED, FAILED"),
        ("priority = high", "use a number"),
        ("end_time > yesterday", 'use a time as "2026-01-31T12:00:00Z"'),
        ('end_time > "0001-01-01T00:00:00+01:00"', 'use a time as "2026-01-31T12:00:00Z"'),
        ("labels.Team = a", "names the label 'Team'"),
        ("labels = a", "names the label ''"),
        ("state =", "its end is where the value of 'state' is missing"),
        ("= FAILED", "is where a field or a word is missing"),
        ("(state = FAILED", "is where a ')' is missing"),
        ("state = FAILED)", "ends a group that was not begun"),
        ('"state" = FAILED', "name a field, without quotes"),
        ('display_name = "open', "cannot be read"),
        ("state = FAILED AND", "its end is where a field or a word is missing"),
        ("a " * 101, "more than 100 comparisons"),
        ("(" * 21 + "a" + ")" * 21, "more than 20 groups"),
        ("x" * 2_001, "use at most 2,000"),
        ('display_name = "a\0b"', "holds the character NUL"),
    ],
)
def test_what_is_no_filter_is_refused_with_what_could_stand_there(text: str, told: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse(text, FIELDS, "display_name")
    assert told in str(refused.value)
    assert refused.value.field == "filter"
