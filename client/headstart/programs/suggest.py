"""Ask for a spec for rows and the columns to predict."""

from __future__ import annotations

from collections.abc import Sequence

from headstart.programs.dataset_source import Data, Sender
from headstart.programs.retry import RetryPolicy
from headstart.programs.upload import Progress
from headstart.v1.training_pb2 import SuggestSpecRequest, SuggestSpecResponse
from headstart.values.image_columns import ImageColumns
from headstart.wire.methods import SUGGEST_SPEC
from headstart.wire.steps import Program, call


def suggest(
    data: Data,
    targets: str | Sequence[str],
    policy: RetryPolicy,
    progress: Progress | None = None,
    sweep_seconds: float | None = None,
) -> Program[SuggestSpecResponse]:
    """Upload the rows, with the images that they name, and ask for a spec that predicts `targets` from the others."""
    source = yield from Sender(ImageColumns.unknown(), policy, progress).source_of(data)
    names = [targets] if isinstance(targets, str) else targets
    request = SuggestSpecRequest(dataset=source, targets=names, sweep_seconds=sweep_seconds)
    return (yield from call(SUGGEST_SPEC, request))
