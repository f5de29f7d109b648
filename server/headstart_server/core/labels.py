"""Labels of resources: short texts by key, to find resources by."""

import re
from collections.abc import Mapping

from headstart_server.core.errors import invalid

KEY = re.compile(r"[a-z0-9_./-]{1,63}")
_MOST, _MOST_CHARACTERS = 64, 128


def check_labels(labels: Mapping[str, str], field: str = "labels") -> dict[str, str]:
    """The labels; raises InvalidInputError for too many, and for keys and values that labels cannot have."""
    if len(labels) > _MOST:
        raise invalid(field, f"are {len(labels)}; use at most {_MOST}")
    for key, value in labels.items():
        if not KEY.fullmatch(key):
            raise invalid(field, f"has the key {key[:80]!r}; use 1 to 63 of a-z, 0-9, '_', '.', '-' and '/'")
        if len(value) > _MOST_CHARACTERS:
            raise invalid(f"{field}.{key}", f"is {len(value)} characters long; use at most {_MOST_CHARACTERS}")
        if "\0" in value:
            raise invalid(f"{field}.{key}", "holds the character NUL; leave it out")
    return dict(labels)
