"""Processes that have read other rows than rank 0 do not train with it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from headstart_server.core.errors import TrainingFailedError
from headstart_server.engines.member import require_same_rows
from headstart_server.model.world import World

from tests.support.together import Together


def _require(world: World, changes: dict[str, Any]) -> str:
    values = {"parts": [1, 1, 2, 3], "label": [0, 1, 0, 1], "batch_size": 16, **(changes if world.rank else {})}
    data = SimpleNamespace(
        parts=np.array(values["parts"]), outputs=("label",), array=lambda name: np.array(values[name])
    )
    trainer = SimpleNamespace(batch_size=values["batch_size"], precision="fp32", learning_rate=1e-3)
    try:
        require_same_rows(SimpleNamespace(data=data, trainer=trainer, plans={}), world)  # type: ignore[arg-type]
    except TrainingFailedError as error:
        return error.reason
    return ""


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"parts": [1, 1, 2, 0]}, "WORKERS_DISAGREE"),
        ({"label": [0, 1, 1, 1]}, "WORKERS_DISAGREE"),
        ({"batch_size": 8}, "WORKERS_DISAGREE"),
    ],
)
def test_processes_compare_what_they_have_read(pair: Together, changes: dict[str, Any], reason: str) -> None:
    assert pair(_require, changes) == [reason] * 2
