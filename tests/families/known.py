"""What was found of each family, kept with the code in `known.json`: the whole check takes more than an hour."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import transformers

Found = dict[str, Any]
"""What `check.Findings` holds, as a dictionary."""
FILE = Path(__file__).parent / "known.json"
_UNSAID: Found = {
    **{"model": "", "verdict": "supported", "reason": "", "shortest": 1, "difference": 0.0, "causal": False},
    **{"pooler": False, "onnx": "", "torchscript": "", "failures": []},
}
"""What holds of a family where the file says nothing; what no document needs is not in the file."""
_NO_TEXT = ("reads no token ids", "beside a text", "transformers has no model for it")


def reads_no_text(found: Mapping[str, Any]) -> bool:
    """Whether a family is refused for what its class takes: of these only names are kept."""
    return found["verdict"] == "refused" and any(reason in found["reason"] for reason in _NO_TEXT)


def known() -> dict[str, Found]:
    """Findings by model type; none if they are of another version of transformers."""
    if not FILE.is_file():
        return {}
    kept = json.loads(FILE.read_text(encoding="utf-8"))
    if kept["transformers"] != transformers.__version__:
        return {}
    no_text = {name: {**_UNSAID, "verdict": "refused", "reason": _NO_TEXT[0]} for name in kept["no_text"]}
    families = {name: {**_UNSAID, **found} for name, found in kept["families"].items()}
    return {name: {"name": name, **found} for name, found in {**no_text, **families}.items()}


def remember(found: Found) -> None:
    """Adds a family's findings to the file, in place of earlier ones."""
    every = {**known(), found["name"]: found}
    no_text = sorted(name for name, item in every.items() if reads_no_text(item))
    lines = [f"{json.dumps(name)}: {json.dumps(_said(every[name]))}" for name in sorted(set(every) - set(no_text))]
    names = "\n".join(textwrap.wrap(", ".join(map(json.dumps, no_text)), 118, break_on_hyphens=False))
    text = f'{{"transformers": "{transformers.__version__}",\n"no_text": [\n{names}\n],\n"families": {{\n'
    beside = FILE.with_suffix(".tmp")
    beside.write_text(text + ",\n".join(lines) + "\n}}\n", encoding="utf-8")
    beside.replace(FILE)


def _said(found: Found) -> Found:
    """What differs from the usual, in few digits."""
    shown = {**found, "difference": float(f"{found.get('difference', 0.0):.0e}")}
    return {key: shown[key] for key, usual in _UNSAID.items() if shown.get(key, usual) != usual}
