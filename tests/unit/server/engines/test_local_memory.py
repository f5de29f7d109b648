"""A training that needs more memory than there is says so, with what to do, on CPUs as on GPUs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from headstart_server.core.errors import TrainingFailedError
from headstart_server.core.layout import Layout
from headstart_server.data.tables import Sources
from headstart_server.encoders.sources import ModelSources
from headstart_server.engines.local import Assignment, LocalEngine
from headstart_server.engines.workplace import Workplace
from headstart_server.spec.model import TrainSpec


class States:
    """Hears where the job is."""

    def state(self, state: str) -> None:
        pass


class Training(LocalEngine):
    """Everything but the training, which fails as told."""

    def __init__(self, root: Path, fail: Any) -> None:
        assignment = Assignment("j", "", TrainSpec(), Sources((), ()))
        super().__init__(assignment, Workplace.at(Layout(root), ModelSources()), States())  # type: ignore[arg-type]
        self._fail = fail

    def _plan(self) -> Any:
        return {}, None, SimpleNamespace(batch_size=64)

    def _encode(self, *_: Any) -> Any:
        return {}

    def _train(self, *_: Any) -> Any:
        self._fail()


def _gpu() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


@pytest.mark.parametrize("fail", [lambda: torch.empty(1 << 60, dtype=torch.uint8), _gpu], ids=["cpu", "gpu"])
def test_a_lack_of_memory_is_named_with_what_to_lower(tmp_path: Path, fail: Any) -> None:
    with pytest.raises(TrainingFailedError, match=r"at batch size 64; lower trainer\.batch_size") as failed:
        Training(tmp_path, fail).run()
    assert (failed.value.reason, failed.value.field) == ("OUT_OF_MEMORY", "trainer.batch_size")


def test_another_error_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="inconsistent tensor size"):
        Training(tmp_path, lambda: torch.ones(2) @ torch.ones(3)).run()
