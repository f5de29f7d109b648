"""Finds the name that a user probably meant."""

import difflib
from collections.abc import Iterable

# names, characters of all and of one that an error shows: it has 4 KiB (docs/decisions/0021)
_MOST_NAMES, _NAMES_LENGTH, _NAME_LENGTH = 40, 400, 100


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name closest to `word`, or None if none is close."""
    matches = difflib.get_close_matches(word.lower(), {name.lower(): name for name in known}, n=1, cutoff=0.6)
    if not matches:
        return None
    return next(name for name in known if name.lower() == matches[0])


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
