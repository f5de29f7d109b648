"""A training that needs more memory than there is says so, with what to do, on CPUs as on GPUs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from headstart_server.core.errors import TrainingFailedError
from headstart_server.core.layout import Layout
from headstart_server.encoders.sources import ModelSources
from headstart_server.engines.fitting import memory_named
from headstart_server.engines.runtime_context import RuntimeContext
from headstart_server.storage.storage import Storage


def _gpu() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


@pytest.mark.parametrize("fail", [lambda: torch.empty(1 << 60, dtype=torch.uint8), _gpu], ids=["cpu", "gpu"])
def test_a_lack_of_memory_is_named_with_what_to_lower(tmp_path: Path, fail: Callable[[], object]) -> None:
    with (
        pytest.raises(TrainingFailedError, match=r"at batch size 64; lower trainer\.batch_size") as failed,
        memory_named(RuntimeContext.at(Storage(Layout(tmp_path)), ModelSources()), 64),
    ):
        fail()
    assert (failed.value.reason, failed.value.field) == ("OUT_OF_MEMORY", "trainer.batch_size")


def test_another_error_stays_what_it_is(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="inconsistent tensor size"),
        memory_named(RuntimeContext.at(Storage(Layout(tmp_path)), ModelSources()), 64),
    ):
        torch.ones(2) @ torch.ones(3)
