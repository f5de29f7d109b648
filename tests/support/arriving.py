"""Jobs as they arrive in a process that works on them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from headstart_server.core.versions import own_version
from headstart_server.data.images.decode import ImageLimits


def job_of(root: Path, data: Path, spec: dict[str, Any]) -> dict[str, Any]:
    """A job as it travels, with a state directory of its own."""
    source = {"path": str(data), "format": "csv", "table_file": "", "folders": [str(data.parent)], "role": "dataset"}
    return {
        "identifier": "j",
        "display_name": "",
        "spec": spec,
        "sources": [source],
        "state_dir": str(root),
        "storage_url": "",
        "version": own_version(),
        "model_root": str(data.parent / "models"),
        "hub_allowed": False,
        "image_limits": asdict(ImageLimits()),
        "precisions": {"cpu": "fp32"},
        "limits": {},
    }
