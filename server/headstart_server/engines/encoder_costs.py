"""What the pretrained encoders of a sweep's trials take, beside the heads that learn from what these give."""

import json
import time
from pathlib import Path

import numpy as np
import structlog
import torch

from headstart_server.core.errors import CancelledError, PausedError, StorageError, StoreFullError, UnavailableError
from headstart_server.core.files import published_file
from headstart_server.data.parts import Part, spread
from headstart_server.encoding.modalities import MODALITIES
from headstart_server.engines.listener import Listener
from headstart_server.engines.preparing import Prepared
from headstart_server.engines.runtime_context import RuntimeContext, pass_context
from headstart_server.planning.pretrained import PretrainedPlan

_log = structlog.get_logger()
_ROWS = 9
"""Training rows of which the median counts."""


class EncoderTimes:
    """Of the encoders of all trials: each is timed once, one row at a time, as Predict reads them.

    Training changes what an encoder gives, not how long it takes, so the pretrained one stands for those that train.

    Args:
        runtime: What encoders run on.
        listener: May stop it.
        path: Where they are written, so that another attempt of the job has the same.
    """

    def __init__(self, runtime: RuntimeContext, listener: Listener, path: Path) -> None:
        self._runtime, self._listener, self._path = runtime, listener, path
        self._seconds: dict[str, float | None] = json.loads(path.read_text()) if path.is_file() else {}
        """By column and space, which names the encoder and how it is read; None where it could not be timed."""

    def seconds(self, prepared: Prepared) -> float | None:
        """For one row through all encoders of a trial; 0 where it has none, None where one could not be timed."""
        found = [self._of_input(prepared, plan.as_served()) for plan in prepared.plan.inputs.values()]
        known = [each for each in found if each is not None]
        return sum(known) if len(known) == len(found) else None

    def _of_input(self, prepared: Prepared, plan: PretrainedPlan) -> float | None:
        source = next(item.spec.source for item in prepared.plan.data.inputs if item.name == plan.name)
        key = f"{plan.space.identifier} {source}"
        if key not in self._seconds:
            try:
                self._seconds[key] = self._measured(prepared, plan)
            except (CancelledError, PausedError, StorageError, StoreFullError, UnavailableError):
                raise
            except Exception:  # noqa: BLE001 - no trial needs it: where all rows are stored, no encoder was loaded yet
                _log.exception("an encoder could not be timed", encoder=plan.source.name)
                self._seconds[key] = None
            with published_file(self._path) as temporary:
                temporary.write_text(json.dumps(self._seconds))
        return self._seconds[key]

    def _measured(self, prepared: Prepared, plan: PretrainedPlan) -> float:
        data, device = prepared.plan.data, self._runtime.device
        feature = next(item for item in data.inputs if item.name == plan.name)
        input_rows = MODALITIES[feature.spec.type].of_data(
            data, feature, pass_context(self._runtime, self._listener.check)
        )
        encoder, seconds = input_rows.encoder_pass(plan).load(), []
        rows = spread(data.rows(Part.TRAIN), _ROWS).tolist()
        for row in (rows[0], *rows):  # the first one makes room, and loads what it calls
            started = time.perf_counter()
            input_rows.embedding(plan, encoder, row)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds.append(time.perf_counter() - started)
        return float(np.median(seconds[1:]))


def encoder_bytes(prepared: Prepared) -> int:
    """Of the pretrained weights that a model of a trial refers to, and shares with others: each once."""
    plans = [plan for plan in prepared.plan.inputs.values() if plan.tuning.shares_weights]
    return sum({plan.space.weights: plan.source.size_bytes for plan in plans}.values())
