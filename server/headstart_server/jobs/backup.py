"""`headstart backup`: copies a server's state, while the server runs, so that a server can be started on the copy."""

import argparse
import os
import shutil
import sqlite3
import sys
from contextlib import closing, suppress
from pathlib import Path

from headstart_server.core.files import TEMPORARY
from headstart_server.core.layout import Layout
from headstart_server.settings import Settings


def main(argv: list[str]) -> int:
    """Runs the command; returns the exit code: 0, or 2 where nothing can be copied."""
    arguments = _parser().parse_args(argv)
    layout, to = Layout(arguments.state_dir), arguments.to
    if not layout.root.is_dir():
        return _refuse(f"--state-dir: {str(layout.root)!r} is no folder; name the server's")
    if to.exists():
        return _refuse(f"{str(to)!r} exists; name a folder that does not, so that the copy holds nothing else")
    if to.resolve().is_relative_to(layout.root.resolve()):
        return _refuse(f"{str(to)!r} lies in the state directory; a backup belongs on another disk")
    try:
        files, size = back_up(layout, to)
    except OSError as error:
        return _refuse(f"the copy in {str(to)!r} is not whole: {error}")
    print(f"{files:,} files, {size:,} bytes in {to}; start a server on it with --state-dir")
    return 0


def back_up(layout: Layout, to: Path) -> tuple[int, int]:
    """Copies what a server cannot make again into a new folder; returns (files, bytes). Raises OSError.

    The database is first: what it names was published before. Files that are deleted meanwhile are left out.
    """
    to.mkdir(parents=True)
    if layout.database.exists():
        # a plain copy of the file would lack what stands in the write-ahead log
        copied = to / layout.database.name
        with closing(sqlite3.connect(layout.database)) as source, closing(sqlite3.connect(copied)) as copy:
            source.backup(copy)
    kept = [layout.jobs, layout.encoders]
    for each in layout.everyone():
        kept += [each.datasets, each.models, each.artifacts, each.embeddings]
    for folder in kept:
        _copy(folder, to / folder.relative_to(layout.root))
    copies = [path for path in to.rglob("*") if path.is_file()]
    return len(copies), sum(path.stat().st_size for path in copies)


def _copy(folder: Path, to: Path) -> None:
    """Copies a folder without what is not published yet."""
    for parent, folders, files in os.walk(folder):
        folders[:] = filter(_is_published, folders)
        target = to / Path(parent).relative_to(folder)
        target.mkdir(parents=True, exist_ok=True)
        for name in filter(_is_published, files):
            with suppress(FileNotFoundError):
                shutil.copy2(Path(parent) / name, target / name)


def _is_published(name: str) -> bool:
    return not (name.startswith(".") and name.endswith(TEMPORARY))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="headstart backup", description=__doc__)
    state_dir = Path(os.environ.get("HEADSTART_STATE_DIR") or Settings.model_fields["state_dir"].default)
    text = "the server's state directory; default: HEADSTART_STATE_DIR, else the server's (%(default)s)"
    parser.add_argument("--state-dir", type=Path, default=state_dir, help=text)
    parser.add_argument("to", type=Path, help="a new folder, on another disk")
    return parser


def _refuse(message: str) -> int:
    print(f"headstart backup: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
