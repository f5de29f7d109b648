"""Domain errors carry what was wrong, where, and a stable reason."""

import pytest
from headstart_server.core.errors import (
    HeadstartError,
    InvalidInputError,
    NotFoundError,
    OverloadedError,
    Violation,
    invalid,
)


def _subclasses(kind: type[HeadstartError]) -> list[type[HeadstartError]]:
    return [item for child in kind.__subclasses__() for item in (child, *_subclasses(child))]


def test_an_invalid_input_error_needs_a_violation() -> None:
    with pytest.raises(ValueError, match="at least one"):
        InvalidInputError([])


def test_every_violation_is_in_the_message() -> None:
    error = InvalidInputError([Violation("a.b", "is wrong"), Violation("", "so is this")])
    assert str(error) == "a.b: is wrong; so is this"
    assert error.field == "a.b"
    assert [violation.field for violation in error.violations] == ["a.b", ""]


def test_several_errors_become_one_with_the_reason_that_they_agree_on() -> None:
    unknown = [invalid(f"f{item}", "is unknown", reason="UNKNOWN_MODEL") for item in range(2)]
    many = InvalidInputError([Violation(f"g{item}", "x") for item in range(25)], reason="UNKNOWN_MODEL", unlisted=4)
    assert InvalidInputError.of_all(unknown, "BAD_DATA").reason == "UNKNOWN_MODEL"
    assert InvalidInputError.of_all([*unknown, invalid("h", "y")], "BAD_DATA").reason == "BAD_DATA"
    found = InvalidInputError.of_all([*unknown, many], "BAD_DATA")
    assert [violation.field for violation in found.violations] == ["f0", "f1", *(f"g{item}" for item in range(18)), ""]
    assert found.violations[-1].message == "and 11 more; correct these first"


def test_a_given_reason_replaces_the_default_of_that_error_alone() -> None:
    assert invalid("x", "y", reason="ONE_CLASS_ONLY").reason == "ONE_CLASS_ONLY"
    assert invalid("x", "y").reason == "INVALID_INPUT"


def test_every_reason_is_upper_case_and_its_own() -> None:
    """A kind without one is its parent's, told apart by what it adds: a bad cell by its row, a failure by its trace."""
    kinds: list[type[HeadstartError]] = [HeadstartError, *_subclasses(HeadstartError)]
    reasons = [kind.reason for kind in kinds if "reason" in vars(kind)]
    assert all(reason == reason.upper() for reason in reasons)
    assert len(set(reasons)) == len(reasons)


def test_fields_and_waiting_times_are_kept() -> None:
    assert NotFoundError("gone", field="name").field == "name"
    assert OverloadedError("full", retry_after=2.5).retry_after == 2.5
