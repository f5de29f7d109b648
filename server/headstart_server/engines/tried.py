"""What a trial of a sweep came to."""

import time
from dataclasses import dataclass

import torch

from headstart_server.data.parts import Part
from headstart_server.model.ecd import ECD
from headstart_server.training.feed import Feed
from headstart_server.training.reports import EpochReport

_TIMES = 9


@dataclass(frozen=True)
class Tried:
    """What a trial came to."""

    report: EpochReport
    """Of its best evaluation."""
    train_rows: int
    head_seconds: float
    """For one row."""
    size_bytes: int
    """Of what it learned."""


def head_seconds(model: ECD, feed: Feed) -> float:
    """Seconds that the head takes for one row of embeddings, in the middle of a few times."""
    _, batch, _ = next(feed.stream([feed.parts[Part.TRAIN][:1]]))
    model.eval()
    with torch.inference_mode():
        encoded, seconds = model.encoded(batch), []
        for _ in range(_TIMES):
            started = time.perf_counter()
            model.probabilities(model.head(encoded))
            if feed.device.type == "cuda":
                torch.cuda.synchronize(feed.device)
            seconds.append(time.perf_counter() - started)
    return sorted(seconds)[_TIMES // 2]
