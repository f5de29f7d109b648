"""A suggested spec as YAML with comments: what each column is and why, and what was left out."""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from headstart_server.planning.resolution import ResolvedValue
from headstart_server.spec.yaml_writer import comment, yaml_text
from headstart_server.suggestion.columns import Finding
from headstart_server.suggestion.measured import evidence_of
from headstart_server.suggestion.suggest import Suggestion

_WIDTH = 110
_TOLD = ("epochs", "batch_size", "learning_rate", "early_stop", "validation_metric")
"""Automatic values that people ask about first."""


def commented(suggestion: Suggestion) -> str:
    """The file: read as a spec, it is the suggested one."""
    spec = suggestion.spec.compact()
    by_name = {finding.name: finding for finding in suggestion.findings}
    lines = [*_head(suggestion), "input_features:"]
    for feature in spec["input_features"]:
        lines += _feature(feature, by_name[feature["name"]])
    left_out = [finding for finding in suggestion.findings if not finding.type]
    lines += [
        f"  {line}" for finding in left_out for line in comment(f"left out: {finding.name}: {finding.evidence}", 108)
    ]
    lines.append("output_features:")
    for feature in spec["output_features"]:
        lines += _feature(feature, by_name[feature["name"]])
    if sweep := spec.get("sweep"):
        lines += _sweep(sweep)
    lines += _trainer(suggestion.resolved)
    return "\n".join(lines) + "\n"


def _head(suggestion: Suggestion) -> Iterator[str]:
    looked = "" if suggestion.looked_at == suggestion.rows else f"; figures are of {suggestion.looked_at:,} of them"
    yield from comment(f"Suggested from {suggestion.rows:,} rows{looked}. Every choice may be changed.", _WIDTH)
    for reason, message in suggestion.warnings:
        yield from comment(f"{reason}: {message}", _WIDTH)
    for kind, weights in suggestion.weights.items():
        yield from comment(
            f"{kind}s are read by {weights.evidence}: each is read once, and its embedding stored", _WIDTH
        )


def _feature(feature: dict[str, object], finding: Finding) -> Iterator[str]:
    for line in comment(finding.evidence, _WIDTH - 2):
        yield f"  {line}"
    yield from textwrap.indent(yaml_text([feature]).rstrip("\n"), "  ").split("\n")


def _sweep(sweep: Mapping[str, Any]) -> Iterator[str]:
    yield from comment(evidence_of(sweep), _WIDTH)
    choices = {path: each["choices"] for path, each in sweep["parameters"].items()}
    yield from yaml_text({"sweep": {**sweep, "parameters": choices}}).rstrip("\n").split("\n")


def _trainer(resolved: Mapping[str, ResolvedValue]) -> Iterator[str]:
    """What is automatic, as it comes out for these rows."""
    told = [(key, resolved[f"trainer.{key}"]) for key in _TOLD if f"trainer.{key}" in resolved]
    if not told:
        return
    yield from comment("trainer: everything is automatic. For these rows:", _WIDTH)
    for key, value in told:
        why = f" ({value.reason})" if value.reason else ""
        yield from comment(f"{key}: {value.value}{why}", _WIDTH)
