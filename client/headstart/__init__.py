"""Client of Headstart: declarative fine-tuning of pretrained encoders as a service.

Usage:
    with headstart.Client() as client:
        run = client.train(pathlib.Path("spec.yaml"), "reviews.csv")
        for event in run:
            print(event)
        predictions = client.predict(run.result().model, {"review": ["good", "bad"]})
"""

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
    Unauthenticated,
    Unavailable,
    Unimplemented,
    Violation,
)
from headstart.programs.dataset_source import ServerPath
from headstart.programs.export import Exported
from headstart.programs.retry import RetryPolicy
from headstart.train_run import TrainRun
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
    "JobFailed",
    "NotFound",
    "OutOfRange",
    "Output",
    "PermissionDenied",
    "Predictions",
    "ResourceExhausted",
    "RetryPolicy",
    "ServerPath",
    "TrainRun",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Violation",
]
