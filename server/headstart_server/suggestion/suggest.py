"""Suggests a spec for a table and the columns to predict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from headstart_server.core.errors import InvalidInputError, invalid
from headstart_server.core.reasons import ColumnReason, Notice, Reason
from headstart_server.data.canonical import why_unreadable
from headstart_server.data.images.decode import BadImageError, ImageLimits, inspect
from headstart_server.data.tables import Table
from headstart_server.encoders.sources import ModelSources
from headstart_server.planning.job_plan import resolve_settings
from headstart_server.planning.resolution import ResolvedValue
from headstart_server.spec.model import TrainSpec
from headstart_server.spec.parse import parse_feature, parse_values
from headstart_server.suggestion.columns import Finding, judge_input, judge_target
from headstart_server.suggestion.measured import sweep_of
from headstart_server.suggestion.profile import ColumnProfile, profile, sampled
from headstart_server.suggestion.relations import (
    duplicate_rows,
    leak_of,
    repeated,
    repeats_column,
    tells_target,
)
from headstart_server.suggestion.weights import Weights, image_weights, text_weights

_FEW_ROWS, _RARE_ROWS, _MOST_ROWS_SHARE, _DUPLICATES = 200, 10, 0.9, 0.005
_IMAGES_LOOKED_FOR = 20
_TRAIN_SHARE = 0.7
"""Of the rows, where they are split at random."""
_TOLD_OF = (
    ColumnReason.TARGET_LEAKAGE,
    ColumnReason.IMAGES_NOT_FOUND,
    ColumnReason.NO_ENCODER,
    ColumnReason.NUMBERS_AND_WORDS,
    ColumnReason.UNREADABLE,
    ColumnReason.DATES,
)
"""Left out for what people may mend, or should know."""
_COMPARED = ("text", "category", "number")


@dataclass(frozen=True)
class Suggestion:
    """A spec, and why it is so."""

    spec: TrainSpec
    findings: tuple[Finding, ...]
    """Of every column, in the table's order."""
    weights: Mapping[str, Weights]
    """Of texts and images, by type of feature."""
    warnings: tuple[tuple[Notice, str], ...]
    rows: int
    looked_at: int
    """Rows that figures are of."""
    resolved: Mapping[str, ResolvedValue]
    """What is automatic as it comes out for these rows, by path."""


def suggest(
    table: Table, targets: Sequence[str], sources: ModelSources, device_type: str, sweep_seconds: float = 0.0
) -> Suggestion:
    """The spec for a table's columns; raises InvalidInputError for targets that cannot be predicted.

    `sweep_seconds` bounds the time in which the job measures what can be measured; 0: nothing is.
    """
    rows = sampled(table.rows)
    findings = _targets(table, targets, rows)
    columns = [name for name in table.columns if name not in findings]
    findings |= {name: _input(table, name, rows) for name in columns}
    findings |= _leaks(findings, rows)
    findings |= _repeats(findings, rows)
    weights = _weights(findings, sources, device_type)
    for name in columns:
        if findings[name].type in ("text", "image") and findings[name].type not in weights:
            message = f"no weights on this server read {findings[name].type}s; put some below its model root"
            findings[name] = Finding(findings[name].profile, ColumnReason.NO_ENCODER, message)
    inputs = [findings[name] for name in columns if findings[name].type]
    if not inputs:
        why = "; ".join(f"{name[:80]!r}: {findings[name].evidence}" for name in columns[:10]) or "it has no other"
        raise invalid(table.field, f"has no column to learn from: {why}", reason=Reason.BAD_DATA)
    outputs = [findings[name] for name in targets]
    spec = parse_values(
        {
            "input_features": [_feature(finding, weights) for finding in inputs],
            "output_features": [_feature(finding, weights) for finding in outputs],
            "sweep": sweep_of(inputs, outputs, table.row_count, sweep_seconds),
        }
    )
    ordered = tuple(findings[name] for name in table.columns)
    warnings = tuple(_warnings(ordered, outputs, inputs, rows))
    resolution = resolve_settings(
        spec, replace(sources, hub_allowed=False), device_type, max(1, int(_TRAIN_SHARE * table.row_count))
    )
    return Suggestion(spec, ordered, weights, warnings, table.row_count, rows.num_rows, resolution.resolved)


def _targets(table: Table, targets: Sequence[str], rows: pa.Table) -> dict[str, Finding]:
    if not targets:
        raise invalid("targets", "is empty; name a column to predict")
    found: dict[str, Finding] = {}
    errors: list[InvalidInputError] = []
    for index, name in enumerate(targets):
        path = f"targets[{index}]"
        try:
            if name in found:
                raise invalid(path, f"{name[:80]!r} is named twice; leave one out")
            table.require(name, path)
            found[name] = judge_target(profile(name, rows.column(name)), path)
        except InvalidInputError as error:
            errors.append(error)
    if errors:
        raise InvalidInputError.of_all(errors, Reason.BAD_DATA)
    return found


def _input(table: Table, name: str, rows: pa.Table) -> Finding:
    if why := why_unreadable(table.rows.schema.field(name)) or _why_no_name(name):
        unknown = ColumnProfile(name, "unreadable", rows.num_rows, 0, 0, 0)
        return Finding(unknown, ColumnReason.UNREADABLE, why)
    column = profile(name, rows.column(name))
    may_be_images = column.images > 0 or column.storage == "bytes"
    return judge_input(column, images_found=not may_be_images or _images_found(table, name, rows))


def _why_no_name(name: str) -> str:
    """Why no feature can be called so; empty where one can."""
    try:
        parse_feature({"name": name, "type": "number"}, "column")
    except InvalidInputError as error:
        return f"its name {name[:80]!r} is none for a feature ({error.violations[0].message})"
    return "" if name.strip() else "it has no name; give it one in the table's header"


def _images_found(table: Table, name: str, rows: pa.Table) -> bool:
    """Whether most of the first cells are images, or paths that lead to some."""
    cells = [cell for cell in rows.column(name)[:_IMAGES_LOOKED_FOR].to_pylist() if cell]
    found, limits = 0, ImageLimits()
    for cell in cells:
        try:
            if isinstance(cell, str):
                cell = table.files.read(cell, limits) if table.files is not None else b""
            found += bool(inspect(cell, limits))
        except BadImageError:
            continue
    return 2 * found > len(cells)


def _leaks(findings: Mapping[str, Finding], rows: pa.Table) -> dict[str, Finding]:
    """The inputs that tell a target, as left out."""
    found = {}
    for finding in findings.values():
        for target in (other for other in findings.values() if other.target and not finding.target):
            leak = leak_of(finding, rows.column(finding.name), target, rows.column(target.name))
            if leak is not None:
                found[finding.name] = tells_target(finding, leak)
                break
    return found


def _repeats(findings: Mapping[str, Finding], rows: pa.Table) -> dict[str, Finding]:
    """The inputs that repeat another, as left out."""
    compared = {
        name: rows.column(name) for name, item in findings.items() if item.type in _COMPARED and not item.target
    }
    told = repeated(compared, [name for name in compared if findings[name].type == "text"])
    return {name: repeats_column(findings[name], evidence) for name, evidence in told.items()}


def _weights(findings: Mapping[str, Finding], sources: ModelSources, device_type: str) -> dict[str, Weights]:
    """The encoders of the types that there are. Nothing is fetched for a suggestion."""
    kinds = {finding.type for finding in findings.values() if not finding.target}
    here = replace(sources, hub_allowed=False)
    found = {
        "text": text_weights(here, device_type) if "text" in kinds else None,
        "image": image_weights(here, device_type) if "image" in kinds else None,
    }
    return {kind: weights for kind, weights in found.items() if weights is not None}


def _feature(finding: Finding, weights: Mapping[str, Weights]) -> dict[str, object]:
    feature: dict[str, object] = {"name": finding.name, "type": finding.type, **finding.settings}
    if not finding.target and finding.type in weights:
        feature["encoder"] = dict(weights[finding.type].encoder)
    return feature


def _warnings(
    findings: Sequence[Finding], outputs: Sequence[Finding], inputs: Sequence[Finding], rows: pa.Table
) -> list[tuple[Notice, str]]:
    """What people should look at before they train."""
    found = [
        (Notice.COLUMNS_LEFT_OUT, f"column {finding.name[:80]!r} is left out: {finding.evidence}")
        for finding in findings
        if finding.reason in _TOLD_OF
    ]
    if rows.num_rows < _FEW_ROWS:
        found.append((Notice.FEW_ROWS, f"{rows.num_rows} rows: figures of a test split of them mean little"))
    for finding in outputs:
        found += _label_warnings(finding, rows)
    if all(finding.type != "image" for finding in inputs):  # rows that differ in their image alone are no duplicates
        found += _duplicate_warnings(inputs, outputs, rows)
    return found


def _duplicate_warnings(
    inputs: Sequence[Finding], outputs: Sequence[Finding], rows: pa.Table
) -> list[tuple[Notice, str]]:
    columns = ([rows.column(finding.name) for finding in findings] for findings in (inputs, outputs))
    duplicates, found = duplicate_rows(*columns), list[tuple[Notice, str]]()
    if duplicates.rows > _DUPLICATES * rows.num_rows:
        message = (
            f"{duplicates.rows:,} of {rows.num_rows:,} rows have the inputs of an earlier row, case and punctuation "
            "aside; a random split puts some into training and test: remove them, or give a test set of your own"
        )
        found.append((Notice.DUPLICATE_ROWS, message))
    if duplicates.conflicting:
        message = f"{duplicates.conflicting:,} rows have the inputs of an earlier row, but another target"
        found.append((Notice.CONFLICTING_LABELS, message))
    return found


def _label_warnings(finding: Finding, rows: pa.Table) -> list[tuple[Notice, str]]:
    if finding.type not in ("category", "binary"):
        return []
    found: list[tuple[Notice, str]] = []
    counts = rows.column(finding.name).combine_chunks().value_counts().to_pylist()
    named = [item for item in counts if item["values"] not in (None, "")]
    rare = sorted((item for item in named if item["counts"] < _RARE_ROWS), key=lambda item: item["counts"])
    if rare:
        shown = ", ".join(f"{item['values']!s:.40} ({item['counts']})" for item in rare[:5])
        more = f" and {len(rare) - 5} more" if len(rare) > 5 else ""
        found.append((Notice.RARE_LABELS, f"{finding.name!r}: classes of fewer than {_RARE_ROWS} rows: {shown}{more}"))
    share = finding.profile.most_frequent / max(1, finding.profile.filled)
    if share >= _MOST_ROWS_SHARE:
        message = (
            f"{finding.name!r}: {share:.0%} of the rows are {finding.profile.values[0][:40]!r}; look at the metrics "
        )
        message += "per class, and weigh classes (loss: {balance_classes: true}) where the rare ones matter"
        found.append((Notice.UNBALANCED_LABELS, message))
    return found
