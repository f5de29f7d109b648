"""Options that commands share, and the client that they make. Heavy imports wait until a command runs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from headstart.client import Client
    from headstart.errors import HeadstartError
    from headstart.programs.dataset_source import Data

Server = Annotated[
    str | None,
    typer.Option("--server", envvar="HEADSTART_SERVER", help="host:port. Default: localhost:50051."),
]
Token = Annotated[
    str | None,
    typer.Option("--token", help="Bearer token. Others on this machine can read it here: HEADSTART_TOKEN is safer."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines; errors are JSON on stderr.")]
RetryFor = Annotated[
    float, typer.Option("--retry-for", min=0, help="Seconds to go on trying after the connection drops.")
]
SpecFile = Annotated[Path, typer.Argument(metavar="SPEC.yaml", help="The spec.", exists=True, dir_okay=False)]
ROWS = (
    "Rows: a local table with the images that it names, a folder per class, or a table in an archive "
    "(shop.zip/train.csv); else a path below the server's data root."
)
Table = Annotated[str, typer.Argument(metavar="DATA", help=ROWS)]
Targets = Annotated[
    list[str], typer.Option("--target", metavar="COLUMN", help="A column to predict. May be given several times.")
]
Training = Annotated[str, typer.Option("--data", help=ROWS)]
OptionalRows = Annotated[str | None, typer.Option("--data", help=ROWS)]
Written = Annotated[
    Path | None, typer.Option("--write", metavar="FILE", help="Write the spec in the current spelling.", dir_okay=False)
]
SuggestedFile = Annotated[
    Path | None, typer.Option("--write", metavar="FILE", help="Write the spec to a file.", dir_okay=False)
]
Validation = Annotated[str | None, typer.Option("--validation", help="Rows to validate on. Default: a split.")]
Test = Annotated[str | None, typer.Option("--test", help="Rows to test on. Default: a split.")]
FromModel = Annotated[
    str, typer.Option("--from-model", metavar="MODEL", help="Begin from the weights of a published model, or an alias.")
]
Job = Annotated[str, typer.Argument(metavar="JOB", help="trainJobs/ID, or ID.")]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="models/ID, ID, or an alias, NAME@ALIAS.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The resource's name, or its ID.")]


def connect(server: str | None, token: str | None, as_json: bool, retry_for: float = 300.0) -> Client:
    """Return a client that tells of retries on stderr, where people read it."""
    from headstart.client import Client
    from headstart.programs.retry import RetryPolicy

    return Client(server, token=token, retry=RetryPolicy(give_up_after=retry_for, on_retry=None if as_json else _tell))


def _tell(error: HeadstartError, delay: float) -> None:
    print(f"connection lost ({error.message[:200]}); trying again in {delay:.1f} s", file=sys.stderr)


def upload_progress(as_json: bool) -> Callable[[int, int], None] | None:
    """Return what tells of an upload on a terminal, None elsewhere."""
    if as_json or not sys.stderr.isatty():
        return None

    def tell(sent: int, total: int) -> None:
        print(f"\rupload {100 * sent // max(total, 1)} %", end="" if sent < total else "\n", file=sys.stderr)

    return tell


def place(data: str) -> Data:
    """Return where rows are: a local file or folder if there is one, a data set's name, or a path on the server."""
    from headstart.programs.dataset_source import ServerPath, local_place

    if data.startswith("datasets/") or local_place(Path(data)) is not None:
        return data
    return ServerPath(data)


def optional_place(data: str | None) -> Data | None:
    """Return where rows are, if they were given."""
    return None if data is None else place(data)
