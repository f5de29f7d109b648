"""Tables for people: plans, jobs, models, data sets, spaces, the server."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from headstart.cli.wording import (
    artifact_format,
    contents,
    encoded,
    export_state,
    format_name,
    moment,
    size,
    state_name,
)
from headstart.v1.dataset_pb2 import Dataset
from headstart.v1.embedding_pb2 import EmbeddingSpace
from headstart.v1.export_pb2 import ExportJob
from headstart.v1.model_pb2 import Model, ModelAlias
from headstart.v1.prediction_pb2 import ModelEvaluation
from headstart.v1.server_pb2 import ServerInfo
from headstart.v1.training_pb2 import (
    PlanTrainJobResponse,
    ResolvedValue,
    SuggestedColumn,
    SuggestSpecResponse,
    TrainJob,
)
from headstart.values.plain import plain


def print_table(headers: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print rows under headers; names are never cut, whatever the width."""
    cells = [[header.upper() for header in headers], *([str(cell) for cell in row] for row in rows)]
    widths = [max(cell_len(row[index]) for row in cells) for index in range(len(cells[0]))]
    table = Table(box=None, pad_edge=False)
    for header, width in zip(cells[0], widths, strict=True):
        table.add_column(header, no_wrap=True, min_width=width)
    for row in cells[1:]:
        table.add_row(*row)
    console = Console(highlight=False, markup=False, width=max(sum(widths) + 2 * len(widths), 1))
    console.print(table, crop=False, soft_wrap=True)


def print_plan(plan: PlanTrainJobResponse) -> None:
    """Print warnings, rows, what would be encoded, and each resolved value."""
    for warning in plan.warnings:
        print(f"warning {warning.reason}: {warning.message}")
    if not plan.HasField("resolved_spec"):
        return
    print(f"rows: {plan.train_rows:,} train, {plan.validation_rows:,} validation, {plan.test_rows:,} test")
    for progress in plan.encode:
        print(f"encode {progress.feature}: {progress.rows_total:,} rows: {encoded(progress)}")
    for progress in plan.test_encode:
        print(f"encode {progress.feature} (test, fp32): {progress.rows_total:,} rows: {encoded(progress)}")
    values = [
        (
            value.path,
            json.dumps(plain(value.value), ensure_ascii=False),
            ResolvedValue.Origin.Name(value.origin).removeprefix("ORIGIN_").lower(),
            value.reason,
        )
        for value in plan.resolved_values
    ]
    print_table(("value", "is", "from", "why"), values)


def print_suggestion(suggestion: SuggestSpecResponse) -> None:
    """Print warnings, and what each column is taken for."""
    for warning in suggestion.warnings:
        print(f"warning {warning.reason}: {warning.message}")
    roles = SuggestedColumn.Role
    rows = (
        (
            column.column,
            roles.Name(column.role).removeprefix("ROLE_").lower().replace("_", " "),
            column.type or "-",
            column.reason,
            column.evidence,
        )
        for column in suggestion.columns
    )
    print_table(("column", "is", "type", "reason", "evidence"), rows)


def print_evaluation(found: ModelEvaluation) -> None:
    """Print metrics, classes and the worst rows of each output; on stderr what was left out."""
    left_out = f", {found.rows_left_out:,} left out" if found.rows_left_out else ""
    print(f"{found.model} on {found.row_count:,} rows{left_out}")
    print_table(("metric", "value"), ((name, f"{value:.4f}") for name, value in sorted(found.metrics.items())))
    for output in found.outputs:
        if output.classes:
            print(f"\n{output.output}, by class")
            rows = (
                (each.label, f"{each.rows:,}", f"{each.precision:.3f}", f"{each.recall:.3f}", f"{each.f1:.3f}")
                for each in output.classes
            )
            print_table(("class", "rows", "precision", "recall", "f1"), rows)
        if output.worst_rows:
            print(f"\n{output.output}, answered worst")
            worst = ((str(each.row), each.target, each.predicted, f"{each.loss:.3f}") for each in output.worst_rows[:5])
            print_table(("row", "is", "answered", "loss"), worst)
    for error in found.row_errors:
        print(f"left out, row {error.row + 1}: {error.status.message}", file=sys.stderr)


def print_jobs(jobs: Iterable[TrainJob]) -> None:
    """Print jobs."""
    rows = ((job.name, state_name(job.state), moment(job.create_time), job.model, job.display_name) for job in jobs)
    print_table(("job", "state", "created (UTC)", "model", "name"), rows)


def print_models(models: Iterable[Model]) -> None:
    """Print models."""
    rows = (
        (
            model.name,
            moment(model.create_time),
            size(model.size_bytes),
            ", ".join(o.feature for o in model.outputs),
            ", ".join(alias.partition("/")[2] for alias in model.aliases),
            model.display_name,
        )
        for model in models
    )
    print_table(("model", "created (UTC)", "size", "predicts", "aliases", "name"), rows)


def print_aliases(aliases: Iterable[ModelAlias]) -> None:
    """Print aliases."""
    rows = ((alias.name, alias.model, moment(alias.update_time)) for alias in aliases)
    print_table(("alias", "model", "since (UTC)"), rows)


def print_datasets(datasets: Iterable[Dataset]) -> None:
    """Print data sets."""
    rows = (
        (
            dataset.name,
            moment(dataset.create_time),
            format_name(dataset.format),
            size(dataset.size_bytes),
            contents(dataset).removesuffix(" rows"),
            dataset.display_name,
        )
        for dataset in datasets
    )
    print_table(("dataset", "created (UTC)", "format", "size", "rows", "name"), rows)


def print_exports(jobs: Iterable[ExportJob]) -> None:
    """Print export jobs."""
    rows = (
        (
            job.name,
            export_state(job.state),
            moment(job.create_time),
            job.model,
            artifact_format(job.format) + (", head only" if job.head_only else ""),
            job.artifact or job.error.message or job.progress.message,
        )
        for job in jobs
    )
    print_table(("export", "state", "created (UTC)", "model", "format", "result"), rows)


def print_spaces(spaces: Iterable[EmbeddingSpace]) -> None:
    """Print embedding spaces."""
    rows = (
        (space.name, f"{space.row_count:,}", size(space.size_bytes), space.dimension, moment(space.last_use_time))
        for space in spaces
    )
    print_table(("space", "rows", "size", "width", "last use (UTC)"), rows)


def print_info(info: ServerInfo, address: str) -> None:
    """Print what a server is and can do."""
    print(f"Headstart {info.version} at {address}, up since {moment(info.start_time)} UTC")
    for device in info.devices:
        print(
            f"device {device.name}: {device.description}, {size(device.memory_bytes)}, fast in {device.fast_precision}"
        )
    print(f"weights on hand: {', '.join(info.pretrained_models) or 'none'}; hub {'on' if info.hub_allowed else 'off'}")
    limits = {field.name: value for field, value in info.limits.ListFields()}
    print(f"limits: {', '.join(f'{name} {value:,}' for name, value in limits.items())}")
    rows = (
        (encoder.type, ", ".join(encoder.feature_types), "yes" if encoder.pretrained else "no", encoder.default_model)
        for encoder in info.encoders
    )
    print_table(("encoder", "features", "pretrained", "default weights"), rows)
