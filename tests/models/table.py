"""Writes docs/models.md: every variant of torchvision's registry, and what its check found."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torchvision
from headstart_server.encoders.torchvision_models import Architecture

_TEXT = """# torchvision's models

Written by `make test-models`, which checks every classification model in torchvision's registry ({count} here) with
random weights: torchvision's own checkpoint is loaded without its classifier, and the features are held to what
torchvision's model feeds its classifier (`features`, relative to the largest); folding batch norms into convolutions
must not change them (`fused`, relative, too); and the exports, which resize images of any size in the graph, are held
to the live model at two image sizes and several batch sizes (`onnx`, `torchscript`: the largest difference of a
probability).
{summary}

torch {torch}, torchvision {torchvision}, Python {python}, one thread at the lowest priority: seconds only compare rows.

| type | model_variant | parameters, M | features wide | input | features | fused | onnx | torchscript | seconds |
|---|---|---|---|---|---|---|---|---|---|
{rows}
"""


def write_table(path: Path, items: list[Architecture], found: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes it by family, with what is not checked yet and what fails."""
    ordered = sorted(items, key=lambda item: item.family)  # stable: smallest first in each
    rows = "\n".join(_row(found[item.name]) for item in ordered if item.name in found)
    versions = {"torch": torch.__version__, "torchvision": torchvision.__version__, "python": platform.python_version()}
    text = _TEXT.format(count=len(items), summary=_summary(ordered, found), rows=rows, **versions)
    path.write_text(text, encoding="utf-8")


def _summary(items: list[Architecture], found: Mapping[str, Mapping[str, Any]]) -> str:
    failed = [f"- {name}: {'; '.join(one['failures'])}" for name, one in sorted(found.items()) if one["failures"]]
    missing = [item.name for item in items if item.name not in found]
    lines = [f"\n{len(found) - len(failed)} of {len(items)} pass."]
    if missing:
        lines.append(f"Not checked yet: {', '.join(missing)}.")
    if failed:
        lines.append("\nWhat does not:\n\n" + "\n".join(failed))
    return "\n".join(lines)


def _row(found: Mapping[str, Any]) -> str:
    known = f"| {found['family']} | {found['variant']} |"
    if "width" not in found:
        return f"{known} | | | | | | | {found['seconds']:.0f} |"
    differences = " | ".join(_difference(found[name]) for name in ("features", "fused", "onnx", "torchscript"))
    size = f"{found['size']} x {found['size']}"
    about = f"{found['parameters'] / 1e6:.1f} | {found['width']} | {size}"
    return f"{known} {about} | {differences} | {found['seconds']:.0f} |"


def _difference(value: float) -> str:
    if value != value:
        return "no"
    return f"{value:.0e}" if value else "0"
