"""Finds the name that a user probably meant."""

import difflib
import heapq
from collections.abc import Iterable
from functools import partial

# names, characters of all and of one that an error shows: it has 4 KiB (docs/decisions/0021)
_MOST_NAMES, _NAMES_LENGTH, _NAME_LENGTH = 40, 400, 100
_COMPARED = 10
"""Names that are compared letter by letter, which takes 20 times as long as counting their pairs of letters."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name closest to `word`, or None if none is close."""
    names: dict[str, str] = {}
    for name in known:
        names.setdefault(name.lower(), name)
    alike = heapq.nlargest(_COMPARED, names, partial(_alikeness, _pairs(word.lower())))
    matches = difflib.get_close_matches(word.lower(), alike, n=1, cutoff=0.6)
    return names[matches[0]] if matches else None


def _alikeness(pairs: set[tuple[str, str]], name: str) -> float:
    """Dice's coefficient of the pairs of letters, from 0 to 1."""
    others = _pairs(name)
    return 2 * len(pairs & others) / (len(pairs) + len(others))


def _pairs(name: str) -> set[tuple[str, str]]:
    """Letters that follow each other, beginning and end among them."""
    return set(zip(f" {name}", f"{name} ", strict=True))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or an empty string."""
    guess = nearest(word, list(known))
    return f"; did you mean {guess!r}?" if guess else ""


def choices(word: str, known: Iterable[str], what: str) -> str:
    """`; did you mean 'x'? What: a, b, ...`: the end of an error about an unknown name, with few enough names."""
    names = list(known)
    shown = _shown(names)
    guess = did_you_mean(word, names)
    return f"{guess} {what.capitalize()}: {shown or 'none'}" if guess else f"; {what}: {shown or 'none'}"


def _shown(names: list[str]) -> str:
    """The first names, and how many there are beside them."""
    shown: list[str] = []
    length = 0
    for name in names[:_MOST_NAMES]:
        length += len(name) + 2
        if shown and length > _NAMES_LENGTH:
            break
        shown.append(name if len(name) <= _NAME_LENGTH else name[:_NAME_LENGTH] + "...")
    left = len(names) - len(shown)
    return ", ".join(shown) + (f" and {left} more" if left else "")
