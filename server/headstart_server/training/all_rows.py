"""Every row of a part at once, for heads that learn without steps."""

import numpy as np
import numpy.typing as npt
import torch

from headstart_server.core.errors import TrainingFailedError
from headstart_server.core.memory import available_bytes
from headstart_server.core.reasons import Reason
from headstart_server.data.parts import Part
from headstart_server.model.scored_head import joined
from headstart_server.training.loop import Loop

Matrix = npt.NDArray[np.float32]


def encoded_rows(loop: Loop, part: Part, copies: float, squares: float = 0.0) -> Matrix:
    """All inputs of a part's rows side by side, [n, d], in the order of the part.

    Raises TrainingFailedError where so many copies of the matrix, and so many of d by d in float64, do not fit into
    memory.
    """
    feed, model = loop.feed, loop.model.eval()
    count, at = feed.count(part), 0
    rows = np.empty((0, 0), dtype=np.float32)
    with torch.no_grad():
        for _, batch, _ in feed.stream(feed.in_order(part, loop.settings.eval_batch_size)):
            encoded = joined(model.encoded(batch))
            if not at:
                _require_room(count, encoded.shape[1], copies, squares)
                rows = np.empty((count, encoded.shape[1]), dtype=np.float32)
            rows[at : at + len(encoded)] = encoded.cpu().numpy()
            at += len(encoded)
            loop.reporter.check()
    return rows


def _require_room(count: int, width: int, copies: float, squares: float) -> None:
    needed, free = int(copies * 4 * count * width + squares * 8 * width * width), available_bytes()
    if needed > free:
        raise TrainingFailedError(
            f"this head reads all rows at once: {count} rows of {width} columns take {needed >> 20} MiB, and "
            f"{free >> 20} MiB are free; set preprocessing.sample_size, encoder.type: ordinal for categories of many "
            "labels, or model_type: ecd",
            reason=Reason.OUT_OF_MEMORY,
            field="model_type",
        )
