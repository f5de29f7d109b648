"""Writes docs/errors.md from the code: python -m tests.contract.reasons"""

from __future__ import annotations

from pathlib import Path

from headstart_server.core.reasons import ColumnReason, Notice, Reason
from headstart_server.rpc.errors import CODES

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "errors.md"
_HEAD = """# Errors and warnings

Written by `python -m tests.contract.reasons` from `core/reasons.py` and `rpc/errors.py`.

A call that fails has a gRPC status, a message for people, and `google.rpc` details: `ErrorInfo` with one of the reasons
below (and the field, where one is to blame), `BadRequest` with what is wrong with each field, and `RetryInfo` where
trying again helps. A job that fails has the same reason in `JobError`. Reasons never change their meaning; new ones may
come.

The contract names the statuses of each service. Any call may also end with INVALID_ARGUMENT (its body is no message of
its method), RESOURCE_EXHAUSTED (the server is asked for more than it can do), UNAVAILABLE (it is stopping),
DEADLINE_EXCEEDED (the caller's deadline passed) or CANCELLED (the caller's own doing); [limits.md](limits.md) says
when, and what may be repeated.
"""


def document() -> str:
    """The page."""
    statuses: dict[str, str] = {}
    for kind, code in CODES.items():
        statuses.setdefault(kind.reason, code.name)
    errors = [f"| `{item}` | {statuses.get(item, '')} | {item.meaning} |" for item in Reason]
    warnings, columns = ([f"| `{item}` | {item.meaning} |" for item in kind] for kind in (Notice, ColumnReason))
    parts = [
        _HEAD,
        "## Reasons of errors\n\nOne without a status comes with that which fits: INVALID_ARGUMENT where the request is"
        " to blame,\nFAILED_PRECONDITION where the server's state is.\n",
        "\n".join(["| reason | status | meaning |", "|---|---|---|", *errors]),
        "\n## Reasons of warnings\n",
        "\n".join(["| reason | meaning |", "|---|---|", *warnings]),
        "\n## Reasons of a suggested spec's columns\n",
        "\n".join(["| reason | meaning |", "|---|---|", *columns]),
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
