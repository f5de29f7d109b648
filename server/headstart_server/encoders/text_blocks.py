"""Texts on their way to a tokenizer: how much of each, and how many at a time."""

import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

MOST_CHARACTERS = 1_000_000
"""Of a text, that a tokenizer is given."""
BLOCK_TEXTS = 8_192
_BLOCK_CHARACTERS = 524_288
_LARGE = 65_536
# A large block takes all cores, by tokenizers' own threads, and a hundred times its memory: two at a time.
_TURNS = threading.BoundedSemaphore(2)


def head_of(text: str, characters: int, place: re.Pattern[str] | None) -> str:
    """The beginning of a text: some characters and what is behind them up to a place where it may be cut.

    Without such a place it is whole, since the last character of a run may decide how its first ones are parted.
    """
    found = place.search(text, characters, MOST_CHARACTERS) if place else None
    return text[: found.end() if found else MOST_CHARACTERS]


def blocks_of(texts: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """Texts with their heads, in blocks that a tokenizer takes at a time."""
    block: list[tuple[str, str]] = []
    size = 0
    for text, head in texts:
        if block and (len(block) == BLOCK_TEXTS or size + len(head) > _BLOCK_CHARACTERS):
            yield block
            block, size = [], 0
        block.append((text, head))
        size += len(head)
    if block:
        yield block


@contextmanager
def turn(texts: list[str]) -> Iterator[None]:
    """Lets few large blocks be tokenised at a time, whoever sends them; small ones do not wait."""
    if sum(map(len, texts)) <= _LARGE:
        yield
        return
    with _TURNS:
        yield
