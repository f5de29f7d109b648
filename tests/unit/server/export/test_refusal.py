"""A refusal says why in one line, and names only what was tried and works."""

from __future__ import annotations

import errno

import pytest
from headstart_server.core.errors import NotExportableError, NotFoundError
from headstart_server.export.refusal import (
    attempted,
    cause_of,
    refusals_named,
    with_way_out,
)


@pytest.mark.parametrize("kind", [RuntimeError, KeyError, AssertionError, IndexError, NotImplementedError])
def test_whatever_a_format_cannot_do_is_a_refusal(kind: type[Exception]) -> None:
    with pytest.raises(NotExportableError, match="this model cannot be exported to ONNX: "), refusals_named("onnx"):
        raise kind("because")


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), MemoryError(), NotFoundError("gone")])
def test_what_says_nothing_of_the_model_stays_what_it_is(error: Exception) -> None:
    with pytest.raises(type(error)), refusals_named("torchscript"):
        raise error


def test_the_other_format_is_named_only_if_it_works() -> None:
    error = NotExportableError("why")
    assert (
        with_way_out(error, "onnx", False, lambda _: True) == "why; export to torchscript instead, which works for it"
    )
    refused = with_way_out(error, "torchscript", False, lambda _: False)
    assert "head_only" in refused and "onnx" not in refused
    assert with_way_out(error, "onnx", True, lambda _: True) == "why"


def test_an_attempt_that_fails_in_any_way_is_none() -> None:
    assert attempted(lambda: 1)
    assert not attempted(lambda: int("x"))


def test_the_cause_is_the_first_and_has_neither_path_nor_second_line() -> None:
    first = RuntimeError("\x1b[31mbad shape in /usr/lib/python3/site-packages/torch/x.py\n  and pages of advice")
    outer = ValueError("outer")
    outer.__cause__ = first
    assert cause_of(outer) == "RuntimeError: bad shape in ..."
