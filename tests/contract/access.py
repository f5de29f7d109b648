"""Writes the table of docs/security.md from the code: python -m tests.contract.access"""

from __future__ import annotations

from pathlib import Path

from headstart_server.core.principal import Scope
from headstart_server.rpc.access import ACCESS, METRICS_ACCESS, OPEN, Access

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "security.md"
BEGIN, END = "<!-- begin: python -m tests.contract.access -->\n", "<!-- end -->\n"


def table() -> str:
    """What each RPC asks for, and which calls stand in the audit log."""
    rows = [_row(f"`{_short(method)}`", access) for method, access in ACCESS.items()]
    rows += [_row("`GET /metrics` over HTTP", METRICS_ACCESS)]
    rows += [
        "| reflection | any valid credentials | |",
        "| health: `grpc.health.v1`, `/livez`, `/readyz` | nothing | |",
        *(f"| `{_short(method)}` | nothing | |" for method in OPEN),
    ]
    rows += ["| the page's own files: `/`, `/static/` | nothing | |"]
    return "\n".join(["| call | scopes, all of them | audited |", "|---|---|---|", *rows]) + "\n"


def _short(method: str) -> str:
    return method.removeprefix("headstart.v1.").removeprefix("inference.")


def _row(call: str, access: Access) -> str:
    scopes = ", ".join(f"`{scope}`" for scope in Scope if scope in access.scopes) or "any valid credentials"
    return f"| {call} | {scopes} | {'yes' if access.changes else ''} |".replace("|  |", "| |")


def document() -> str:
    """The page with its table."""
    text = DOCUMENT.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    return head + BEGIN + table() + END + rest.split(END, 1)[1]


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
