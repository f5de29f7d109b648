"""Write specs to files, and never over one by mistake."""

from __future__ import annotations

from pathlib import Path

import typer


def check_place(path: Path, overwrite: bool) -> None:
    """Refuse a file that is there, unless it may be replaced.

    Raises:
        typer.BadParameter: it may not.
    """
    if path.exists() and not overwrite:
        raise typer.BadParameter(
            f"{path} is there already; name another file, or add --overwrite", param_hint="--write"
        )


def write_spec(path: Path, text: str, overwrite: bool) -> None:
    """Write a spec; a file that came meanwhile stays, unless it may be replaced.

    Raises:
        OSError: it cannot be written.
    """
    with path.open("w" if overwrite else "x", encoding="utf-8", newline="\n") as file:
        file.write(text)
