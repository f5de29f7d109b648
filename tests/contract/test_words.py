"""Words that were given up for the field's own stay away from names in the code and from the documents."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GIVEN_UP = {
    "crew": "encode pool",
    "crewmember": "encode worker",
    "errand": "encode task",
    "handlost": "worker lost",
    "depot": "object store",
    "vault(?!_?gemma)": "encoder store",
    "workplace": "runtime context",
    "arrival": "job context",
    "honesty": "replica check",
    "intake": "admission",
    "tidying": "retention",
    "upkeep": "retention",
    "strangers": "file signatures",
    "shelf": "shard storage, encoder cache",
    "short_forms": "normalization",
    "ears": "report channel",
    "lacking": "unsupported",
}
FILES = ("*.py", "*.proto", "*.md", "*.toml", "Makefile")
ELSEWHERE = ("CHANGELOG.md", "tests/contract/test_words.py", "examples/quickstart/")
"""What is of the past, these words themselves, and sentences that people write."""


def _texts() -> list[tuple[str, str]]:
    listed = subprocess.run(["git", "ls-files", "-z", *FILES], cwd=ROOT, capture_output=True, text=True, check=True)
    names = [name for name in listed.stdout.split("\0") if name and not name.startswith(ELSEWHERE)]
    return [(name, (ROOT / name).read_text(encoding="utf-8")) for name in names]


@pytest.fixture(scope="module")
def texts() -> list[tuple[str, str]]:
    if not (ROOT / ".git").exists():
        pytest.skip("git lists the project's files, and this is no checkout")
    return _texts()


@pytest.mark.parametrize("word", GIVEN_UP)
def test_a_word_that_was_given_up_is_gone(word: str, texts: list[tuple[str, str]]) -> None:
    parts = re.compile(rf"(?<![a-z]){word}s?(?![a-z])", re.IGNORECASE)
    found = [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in texts
        for number, line in enumerate(text.splitlines(), 1)
        if parts.search(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", line))
    ]
    assert not found, f"the field says {GIVEN_UP[word]}"
