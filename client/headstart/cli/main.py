"""Run one command and turn whatever it raises into a message on stderr and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from headstart.cli.app import build

# typer carries click or a copy of it, by its version; its usage errors are found through the one class it exports.
UsageError: type[Exception] = typer.BadParameter.__mro__[2]


def main(argv: Sequence[str] | None = None) -> int:
    """Run `headstart ARGV...` and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in arguments
    try:
        code = build()(arguments, prog_name="headstart", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except (typer.Abort, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        from headstart.cli.failure import failure_of

        failure = failure_of(error, usage=UsageError)
        if failure is None and not as_json:
            raise
        failure = failure or failure_of(RuntimeError(f"{type(error).__name__}: {error}"), usage=RuntimeError, code=1)
        assert failure is not None
        if failure.message:  # none where a group of commands was given no command and has printed its help
            print(failure.as_json() if as_json else failure.as_text(), file=sys.stderr)
        return failure.exit_code
