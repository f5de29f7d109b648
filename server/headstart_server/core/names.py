"""Resource names: `collection/{id}` strings and the ids within them."""

import re
import secrets
import threading
import time
from collections.abc import Callable

from headstart_server.core.errors import invalid

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,127}")
_ALIAS = re.compile(r"[a-z0-9-]{1,63}@[a-z0-9-]{1,63}")
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_RANDOM_BITS, _STEP_BITS = 50, 40
# Crockford's base 32 (https://www.crockford.com/base32.html) in lower case: its digits sort as their values do
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


class Ids:
    """Makes ids that sort as they were made: 20 characters of milliseconds, then of 50 random bits, as ULIDs do.

    Within a millisecond, and while the clock goes back, each is a random step above the one before. Thread-safe.
    """

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock, self._lock, self._last = clock, threading.Lock(), 0

    def new(self) -> str:
        """A fresh id."""
        with self._lock:
            value = (self._clock() // 1_000_000 << _RANDOM_BITS) + secrets.randbits(_RANDOM_BITS)
            if value <= self._last:
                value = self._last + 1 + secrets.randbits(_STEP_BITS)
            self._last = value
        return _base32(value, 20)


new_id = Ids().new
"""A fresh id of this process."""


def name_of(collection: str, identifier: str) -> str:
    """The resource name of an id."""
    return f"{collection}/{identifier}"


def is_id(text: str) -> bool:
    """Whether this can be an id: what lies in a folder of resources may be anything."""
    return _ID.fullmatch(text) is not None


def id_of(collection: str, name: str, field: str = "name") -> str:
    """The id within a resource name; raises InvalidInputError naming `field` if it has another form."""
    prefix, _, identifier = name.partition("/")
    if prefix != collection or not _ID.fullmatch(identifier):
        raise invalid(field, f"{name[:200]!r} is not a resource name; expected '{collection}/ID'")
    return identifier


def alias_of(name: str, field: str = "name") -> str:
    """The alias within the name of a model; raises InvalidInputError naming `field` if it has another form."""
    prefix, _, alias = name.partition("/")
    if prefix != "models" or not _ALIAS.fullmatch(alias):
        message = f"{name[:200]!r} is no alias; expected 'models/NAME@ALIAS', both up to 63 of a-z, 0-9 and '-'"
        raise invalid(field, message)
    return alias


def is_alias(name: str) -> bool:
    """Whether the name of a model is meant to be an alias."""
    return "@" in name


def is_tenant(name: str) -> bool:
    """Whether a tenant other than the default may have this name, which is that of a folder as well."""
    return _TENANT.fullmatch(name) is not None


def check_tenant(tenant: str, field: str = "tenant") -> None:
    """Raises InvalidInputError naming `field` for what is no tenant's name; that of the default tenant is empty."""
    if tenant and not is_tenant(tenant):
        message = f"{tenant[:200]!r} is no tenant's name; use up to 64 letters, digits, '-', '_' and '.', the first a "
        raise invalid(field, f"{message}letter or a digit")


def _base32(value: int, width: int) -> str:
    digits = []
    for _ in range(width):
        value, digit = divmod(value, 32)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
