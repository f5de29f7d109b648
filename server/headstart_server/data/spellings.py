"""One value, several spellings: `1` and `1.0`, `True` and `true`, `2020-01-01` and `2020-01-01 00:00:00`.

Needs nothing but Python: exported artifacts hold a copy of this file.
"""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal

# An exponent has three digits at most, for `number_text` writes it out as zeros.
_NUMBER = re.compile(r"[+-]?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?", re.ASCII)
_DATE = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(?:\.([0-9]{1,9}))?\s?(Z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?",
    re.ASCII,
)
_TIME = re.compile(r"([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?", re.ASCII)
_DURATION = re.compile(r"(-?[0-9]{1,9}) days?,? \+?([0-9]{1,2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?", re.ASCII)
"""As pandas (`-1 days +02:03:04`) and Python (`-1 day, 2:03:04`) tell durations; of Python's only those with days."""
_PERIOD = re.compile(
    r"(-?)P(?:([0-9]{1,9})D)?(?:T(?:([0-9]{1,6})H)?(?:([0-9]{1,6})M)?(?:([0-9]{1,9})(?:\.([0-9]{1,9}))?S)?)?", re.ASCII
)
"""ISO 8601, without months and years, which have no length."""
_LONGEST = 80
"""Characters of the longest text that may be a number or a date."""


def spelling(text: str) -> tuple[str, str] | None:
    """(kind, canonical text) of a number, a truth value, a date with or without time, or a time; None for other text.

    Numbers with leading zeros are none: `007` is an identifier.
    """
    if not text or len(text) > _LONGEST:
        return None
    if text.lower() in ("true", "false"):
        return ("truth", text.lower()) if text in (text.lower(), text.upper(), text.capitalize()) else None
    if _NUMBER.fullmatch(text):
        return "number", number_text(Decimal(text))
    if found := _DATE.fullmatch(text):
        return _date(*found.groups())
    if found := _TIME.fullmatch(text):
        return "time", found[1] + _fraction(found[2])
    return _duration(text)


def duration_text(nanoseconds: int) -> str:
    """`-1 days 23:59:59.5`: days, which carry the sign, then hours, minutes and seconds."""
    seconds, fraction = divmod(nanoseconds, 10**9)
    days, rest = divmod(seconds, 86_400)
    return f"{days} days {rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}{_fraction(f'{fraction:09}')}"


def _duration(text: str) -> tuple[str, str] | None:
    if found := _DURATION.fullmatch(text):
        return "duration", duration_text(_nanoseconds(*found.groups()))
    if (found := _PERIOD.fullmatch(text)) and text[-1] not in "PT":
        sign, *parts = found.groups()
        size = _nanoseconds(*parts)
        return "duration", duration_text(-size if sign else size)
    return None


def _nanoseconds(
    days: str | None, hours: str | None, minutes: str | None, seconds: str | None, fraction: str | None
) -> int:
    whole = ((int(days or 0) * 24 + int(hours or 0)) * 60 + int(minutes or 0)) * 60 + int(seconds or 0)
    return whole * 10**9 + int((fraction or "").ljust(9, "0"))


def number_text(value: Decimal) -> str:
    """A decimal without exponent and without zeros at its end: exact."""
    text = format(value, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "+0") else text.lstrip("+")


def _date(day: str, clock: str | None, fraction: str | None, zone: str | None) -> tuple[str, str] | None:
    """A moment with a zone is told in UTC; midnight without one is the day."""
    clock = clock or "00:00:00"
    clock = clock if len(clock) == 8 else clock + ":00"
    try:
        # The pattern looks at digits alone; days that no calendar has stay text.
        moment = datetime.strptime(f"{day} {clock}", "%Y-%m-%d %H:%M:%S")
        if zone is None:
            clock = "" if clock == "00:00:00" and not _fraction(fraction) else f" {clock}{_fraction(fraction)}"
            return "date", day + clock
        moment -= timedelta(0) if zone == "Z" else _offset(zone)
    except (ValueError, OverflowError):
        return None
    return "moment", f"{moment.isoformat(sep=' ')}{_fraction(fraction)}Z"


def _offset(zone: str) -> timedelta:
    digits = zone[1:].replace(":", "")
    size = timedelta(hours=int(digits[:2]), minutes=int(digits[2:] or "0"))
    return -size if zone[0] == "-" else size


def _fraction(digits: str | None) -> str:
    digits = (digits or "").rstrip("0")
    return f".{digits}" if digits else ""


class Spellings:
    """Finds the label that a text means: the text itself, or the one label that spells the same value otherwise.

    A kind of value of which the labels hold one in two spellings (`1.1` beside `1.10`, which are versions) is
    text: such labels are found by their own spelling alone.
    """

    def __init__(self, labels: Iterable[str]) -> None:
        self.labels = frozenset(labels)
        by_spelling: dict[tuple[str, str], str] = {}
        ambiguous: set[str] = set()
        for label in self.labels:
            found = spelling(label)
            if found is not None and by_spelling.setdefault(found, label) != label:
                ambiguous.add(found[0])
        self.by_spelling = {key: label for key, label in by_spelling.items() if key[0] not in ambiguous}

    def find(self, text: str) -> str | None:
        """The label, or None where the text means none of them."""
        if text in self.labels or not self.by_spelling:
            return text if text in self.labels else None
        found = spelling(text)
        return None if found is None else self.by_spelling.get(found)
