"""Reasons of errors and warnings are words of one list, which docs/errors.md holds; no code makes up another."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import headstart_server
from headstart_server.core.reasons import Notice, Reason

from tests.contract.reasons import DOCUMENT, document

SERVER = Path(headstart_server.__file__).parent
NAMED = ("reason",)


def test_the_document_is_that_of_the_code() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(), "run: python -m tests.contract.reasons"


def test_every_word_means_something_and_stands_for_itself() -> None:
    for item in (*Reason, *Notice):
        assert item.value == item.name
        assert item.meaning.endswith(".")
    assert not {item.value for item in Reason} & {item.value for item in Notice}


def _literal_reasons() -> Iterator[str]:
    """Where a reason is written as a string."""
    for path in SERVER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            words = [item.value for item in getattr(node, "keywords", []) if item.arg in NAMED]
            called = getattr(getattr(node, "func", None), "id", "")
            if isinstance(node, ast.Call) and called in ("JobWarning", "JobFailure") and node.args:
                words.append(node.args[0])
            for word in words:
                if isinstance(word, ast.Constant) and isinstance(word.value, str):
                    yield f"{path.relative_to(SERVER)}:{word.lineno}: {word.value}"


def test_no_reason_is_written_as_a_string() -> None:
    assert not list(_literal_reasons())


def test_every_reason_is_used() -> None:
    used = "\n".join(path.read_text(encoding="utf-8") for path in SERVER.rglob("*.py"))
    assert not [item for item in Reason if f"Reason.{item.name}" not in used]
    assert not [item for item in Notice if f"Notice.{item.name}" not in used]
