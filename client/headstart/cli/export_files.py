"""Tell how an export goes and what it left on disk."""

from __future__ import annotations

import sys
from pathlib import Path

from headstart.cli.json_lines import dict_of, print_json
from headstart.cli.wording import size
from headstart.programs.export import Exported
from headstart.v1.export_pb2 import ExportProgress


def tell_progress(progress: ExportProgress) -> None:
    """Print one step of the export."""
    print(f"{progress.stage}: {progress.message}", file=sys.stderr)


def tell_result(exported: Exported, output: Path, as_json: bool) -> None:
    """Print the artifact and where its files are."""
    difference = exported.artifact.max_difference
    _tell(exported, f"largest difference from the live model {difference:.1e}", output, as_json)


def tell_rows(exported: Exported, output: Path, as_json: bool) -> None:
    """Print the file of predictions and where it is."""
    artifact = exported.artifact
    left_out = f", {artifact.rows_left_out:,} of them could not be read" if artifact.rows_left_out else ""
    _tell(exported, f"{artifact.row_count:,} rows{left_out}", output, as_json)


def _tell(exported: Exported, said: str, output: Path, as_json: bool) -> None:
    artifact = exported.artifact
    if as_json:
        paths = [str(path) for path in exported.files]
        print_json({**dict_of(artifact), "output": str(output), "paths": paths})
        return
    print(f"{artifact.name}: {artifact.model}, {said}")
    for path, file in zip(exported.files, artifact.files, strict=True):
        print(f"  {path}  {size(file.size_bytes)}")
