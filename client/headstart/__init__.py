"""Client of Headstart: declarative fine-tuning of pretrained encoders as a service.

Usage:
    with headstart.Client() as client:
        run = client.train(pathlib.Path("spec.yaml"), "reviews.csv")
        for event in run:
            print(event)
        predictions = client.predict(run.result().model, {"review": ["good", "bad"]})

Names are imported when they are first used, so that `headstart --help` and shell completion wait for no gRPC.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headstart.async_client import AsyncClient
    from headstart.async_train_run import AsyncTrainRun
    from headstart.client import Client
    from headstart.errors import (
        Aborted,
        AlreadyExists,
        CallCancelled,
        DataLoss,
        DeadlineExceeded,
        FailedPrecondition,
        HeadstartError,
        Internal,
        InvalidArgument,
        JobCancelled,
        JobFailed,
        NotFound,
        OutOfRange,
        PermissionDenied,
        ResourceExhausted,
        ServerMissing,
        SinkFailed,
        Unauthenticated,
        Unavailable,
        Unimplemented,
        Violation,
    )
    from headstart.programs.dataset_source import ServerPath
    from headstart.programs.export import Exported
    from headstart.programs.retry import RetryPolicy
    from headstart.train_run import TrainRun
    from headstart.values.details import JobDetails
    from headstart.values.embeddings import Embeddings
    from headstart.values.predictions import Output, Predictions

__all__ = [
    "Aborted",
    "AlreadyExists",
    "AsyncClient",
    "AsyncTrainRun",
    "CallCancelled",
    "Client",
    "DataLoss",
    "DeadlineExceeded",
    "Embeddings",
    "Exported",
    "FailedPrecondition",
    "HeadstartError",
    "Internal",
    "InvalidArgument",
    "JobCancelled",
    "JobDetails",
    "JobFailed",
    "NotFound",
    "OutOfRange",
    "Output",
    "PermissionDenied",
    "Predictions",
    "ResourceExhausted",
    "RetryPolicy",
    "ServerMissing",
    "ServerPath",
    "SinkFailed",
    "TrainRun",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Violation",
]

_HOMES = {
    "AsyncClient": "headstart.async_client",
    "AsyncTrainRun": "headstart.async_train_run",
    "Client": "headstart.client",
    "ServerPath": "headstart.programs.dataset_source",
    "Exported": "headstart.programs.export",
    "RetryPolicy": "headstart.programs.retry",
    "TrainRun": "headstart.train_run",
    "Embeddings": "headstart.values.embeddings",
    "JobDetails": "headstart.values.details",
    "Output": "headstart.values.predictions",
    "Predictions": "headstart.values.predictions",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its module; what has no home of its own is an error class."""
    if name not in __all__:
        raise AttributeError(f"module 'headstart' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES.get(name, "headstart.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted({*globals(), *__all__})
