"""What one run of the `headstart` command did."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


class Outcome:
    """What one command did."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Standard output as JSON lines; anything else on it fails the test."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def error(self) -> dict[str, Any]:
        """Standard error as the one JSON object that it must be."""
        error: dict[str, Any] = json.loads(self.err)["error"]
        return error


Run = Callable[..., Outcome]
"""Runs `headstart ARGUMENTS...` against the fake server."""
