"""`headstart train`, `watch` and `plan`."""

from __future__ import annotations

import sys
import uuid
from typing import Annotated

import typer

from headstart.cli.options import (
    FromModel,
    Job,
    Json,
    OptionalRows,
    RetryFor,
    Server,
    SpecFile,
    Test,
    Token,
    Training,
    Validation,
    Written,
    connect,
    optional_place,
    place,
    upload_progress,
)
from headstart.cli.sinks import MLflowExperiment, MLflowUri, TensorBoardFolder, WandBProject, check_followed, sinks_of


def train(
    spec: SpecFile,
    data: Training,
    validation: Validation = None,
    test: Test = None,
    request_id: Annotated[
        str | None, typer.Option("--request-id", help="The same id and body give the same job. Default: a new one.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="A name for people.")] = None,
    from_model: FromModel = "",
    detach: Annotated[bool, typer.Option("--detach", help="Start the job and leave it.")] = False,
    tensorboard: TensorBoardFolder = None,
    mlflow: MLflowUri = None,
    mlflow_experiment: MLflowExperiment = None,
    wandb: WandBProject = None,
    server: Server = None,
    token: Token = None,
    retry_for: RetryFor = 300.0,
    as_json: Json = False,
) -> None:
    """Train a model and follow it to its end.

    --json prints each event as one line of JSON and the finished job last. Ctrl-C lets go of the job, which goes on.
    """
    from headstart.cli.follow import follow, leave

    sinks = sinks_of(tensorboard, mlflow, mlflow_experiment, wandb, as_json)
    check_followed(sinks, detach)
    # Made here, not by the client, so that whoever is interrupted can be told it.
    request_id = request_id or uuid.uuid4().hex
    with connect(server, token, as_json, retry_for) as client:
        try:
            rows = place(data), optional_place(validation), optional_place(test)
            upload = upload_progress(as_json)
            run = client.train(
                spec,
                *rows,
                request_id=request_id,
                display_name=name,
                on_upload=upload,
                sinks=sinks,
                initial_model=from_model,
            )
        except KeyboardInterrupt:
            again = f"if the job was created, the same command with --request-id {request_id} follows it"
            print(f"\ninterrupted; {again}", file=sys.stderr)
            raise typer.Exit(130) from None
        if detach:
            leave(run, as_json)
        else:
            follow(run, as_json)


def watch(
    job: Job,
    after: Annotated[int, typer.Option("--after", min=0, help="Leave out the events up to this one.")] = 0,
    tensorboard: TensorBoardFolder = None,
    mlflow: MLflowUri = None,
    mlflow_experiment: MLflowExperiment = None,
    wandb: WandBProject = None,
    server: Server = None,
    token: Token = None,
    retry_for: RetryFor = 300.0,
    as_json: Json = False,
) -> None:
    """Replay a job's events and follow it to its end; prints as `train` does."""
    from headstart.cli.follow import follow

    sinks = sinks_of(tensorboard, mlflow, mlflow_experiment, wandb, as_json)
    with connect(server, token, as_json, retry_for) as client:
        follow(client.watch(job, after, sinks), as_json)


def plan(
    spec: SpecFile,
    data: OptionalRows = None,
    validation: Validation = None,
    test: Test = None,
    write: Written = None,
    from_model: FromModel = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Let --write replace a file.")] = False,
    server: Server = None,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Resolve a spec against its data without training: every value with its origin, and what would be encoded.

    --write saves the spec in the current spelling, with what was read otherwise than written as comments.
    """
    from headstart.cli.json_lines import print_json
    from headstart.cli.spec_files import check_place, write_spec
    from headstart.cli.tables import print_plan

    if data is None and write is None:
        raise typer.BadParameter(
            "give rows to resolve the spec against, or --write FILE to convert it", param_hint="--data"
        )
    if write is not None:
        check_place(write, overwrite)
    with connect(server, token, as_json) as client:
        rows = optional_place(data), optional_place(validation), optional_place(test)
        resolved = client.plan(spec, *rows, initial_model=from_model)
    print_json(resolved) if as_json else print_plan(resolved)
    if write is not None:
        write_spec(write, resolved.spec_yaml, overwrite)
        if not as_json:
            print(f"{write}: the spec in the current spelling")
