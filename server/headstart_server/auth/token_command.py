"""`headstart token`: makes a token, prints it once, and writes the line of the token file that lets it in."""

import argparse
import hashlib
import os
import secrets
import sys
from pathlib import Path

from headstart_server.auth.token_file import NO_TENANT, line_of, parsed_principal, read_token_file
from headstart_server.core.errors import FailedPreconditionError
from headstart_server.core.principal import Scope

_PREFIX = "headstart_"
"""By which scanners for secrets, and people, know a token."""
_BYTES = 32


def main(argv: list[str]) -> int:
    """Runs the command; returns the exit code: 0, or 2 where no token was made."""
    arguments = _parser().parse_args(argv)
    token = f"{_PREFIX}{secrets.token_urlsafe(_BYTES)}"
    try:
        principal = parsed_principal(arguments.name, arguments.tenant, arguments.scopes)
        line = line_of(principal, hashlib.sha256(token.encode()).hexdigest())
        if arguments.token_file is not None:
            _append(arguments.token_file, line)
    except (ValueError, OSError) as error:
        print(f"headstart token: {error}", file=sys.stderr)
        return 2
    except FailedPreconditionError as error:
        print(f"headstart token: {error.message}", file=sys.stderr)
        return 2
    print(token)
    if arguments.token_file is None:
        print(f"add this line to the server's token file; the token is shown once:\n{line}", file=sys.stderr)
    else:
        print(f"its line is in {arguments.token_file}; the token is shown once", file=sys.stderr)
    return 0


def _append(path: Path, line: str) -> None:
    """Adds a line to a token file; raises FailedPreconditionError for one that no server would take, or OSError."""
    begun = ""
    if path.exists():
        read_token_file(path)
        if (content := path.read_text(encoding="utf-8")) and not content.endswith("\n"):
            begun = "\n"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a", encoding="utf-8") as file:
        file.write(f"{begun}{line}\n")  # at once: a server that reads it meanwhile sees the whole line


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="headstart token", description=__doc__)
    parser.add_argument("name", help="who calls, for logs")
    parser.add_argument(
        "--tenant", default=NO_TENANT, help="whose jobs and models are seen; default: %(default)s, none"
    )
    scopes = ",".join((Scope.READ, Scope.TRAIN, Scope.PREDICT))
    text = f"what may be done, of {', '.join(Scope)}, with commas; default: %(default)s"
    parser.add_argument("--scopes", default=scopes, help=text)
    text = "file of `headstart serve --token-file` to add the line to; a running server takes it in a few seconds"
    parser.add_argument("--token-file", type=Path, help=text)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
