"""Finds the name that a user probably meant."""

import difflib
from collections.abc import Iterable


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
    """`; did you mean 'x'? What: a, b, ...`: the end of an error about an unknown name, at most 40 names."""
    names = list(known)
    shown = ", ".join(names[:40]) + (", ..." if len(names) > 40 else "")
    guess = did_you_mean(word, names)
    return f"{guess} {what.capitalize()}: {shown or 'none'}" if guess else f"; {what}: {shown or 'none'}"
