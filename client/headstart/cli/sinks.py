"""`--tensorboard`, `--mlflow` and `--wandb`: where a followed job is written to, and what is told when that fails."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from headstart.sinks.sink import Sink

EXIT_CODE = 7
"""Of a job that succeeded while a sink failed, and of a sink for whose sake nothing was started."""

TensorBoardFolder = Annotated[
    Path | None,
    typer.Option("--tensorboard", metavar="DIR", help="Write event files below DIR.", file_okay=False),
]
MLflowUri = Annotated[
    str | None, typer.Option("--mlflow", metavar="URI", help="Write a run to the MLflow server or database at URI.")
]
MLflowExperiment = Annotated[
    str | None, typer.Option("--mlflow-experiment", metavar="NAME", help="The run's experiment. Default: headstart.")
]
WandBProject = Annotated[
    str | None, typer.Option("--wandb", metavar="PROJECT", help="Write a run to the project of Weights & Biases.")
]


def sinks_of(
    tensorboard: Path | None, mlflow: str | None, experiment: str | None, wandb: str | None, as_json: bool
) -> list[Sink]:
    """Return the sinks that were asked for.

    Raises:
        typer.BadParameter: an experiment of no server.
        InvalidArgument: a package is missing.
    """
    if experiment is not None and mlflow is None:
        raise typer.BadParameter("give the server, too: --mlflow URI", param_hint="--mlflow-experiment")
    if tensorboard is None and mlflow is None and wandb is None:
        return []
    from headstart.sinks import MLflow, TensorBoard, WandB

    sinks: list[Sink] = []
    if tensorboard is not None:
        sinks.append(TensorBoard(tensorboard))
    if mlflow is not None:
        sinks.append(MLflow(mlflow, experiment or "headstart"))
    if wandb is not None:
        sinks.append(WandB(wandb, silent=as_json))
    return sinks


def check_followed(sinks: list[Sink], detach: bool) -> None:
    """Refuse sinks of a job that nobody follows.

    Raises:
        typer.BadParameter: there are some.
    """
    if sinks and detach:
        raise typer.BadParameter(
            "a job that is left is written nowhere; leave out --tensorboard, --mlflow and --wandb, and give them to "
            "`headstart watch`",
            param_hint="--detach",
        )


@contextmanager
def telling_of_sinks(as_json: bool) -> Iterator[None]:
    """Print what is logged of failing sinks on stderr: a line, or a JSON object on one."""
    handler = _StderrHandler(as_json)
    logger = logging.getLogger("headstart.sinks")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _StderrHandler(logging.Handler):
    """Prints on whatever stderr is at the time: a live display puts its own in place."""

    def __init__(self, as_json: bool) -> None:
        super().__init__(logging.WARNING)
        self._as_json = as_json

    def emit(self, record: logging.LogRecord) -> None:
        """Print one warning."""
        message = record.getMessage()
        told = json.dumps({"warning": {"message": message, "reason": "SINK_FAILED"}})
        print(told if self._as_json else f"warning: {message}", file=sys.stderr)
