"""The device of a process: a GPU by its number, for that is what tensors on it say; the CPU where none is reserved."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from headstart_server.core.layout import Layout
from headstart_server.encoders.sources import ModelSources
from headstart_server.engines.runtime_context import RuntimeContext
from headstart_server.storage.storage import Storage


def test_a_gpu_is_named_as_tensors_on_it_name_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    device = RuntimeContext.at(Storage(Layout(tmp_path)), ModelSources()).device
    assert device == torch.device("cuda:1") != torch.device("cuda")
    assert RuntimeContext.at(Storage(Layout(tmp_path)), ModelSources(), use_gpu=False).device == torch.device("cpu")
