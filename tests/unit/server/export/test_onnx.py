"""What torch cannot export to ONNX is told in one line that says why and what to do instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from headstart_server.core.errors import FailedPreconditionError
from headstart_server.export.graph import GraphInput
from headstart_server.export.onnx import export_onnx
from torch import Tensor, nn


class Branching(nn.Module):
    """A graph whose way depends on its values."""

    inputs = (GraphInput("x", "x", "value", torch.float32, ("batch",), "x"),)
    output_names = ("y",)

    def forward(self, *tensors: Tensor) -> tuple[Tensor]:
        (x,) = tensors
        return (x,) if x.sum() > 0 else (x + 1,)


def test_an_architecture_that_cannot_be_exported_is_refused_with_the_first_cause(tmp_path: Path) -> None:
    graph: Any = Branching()
    with pytest.raises(FailedPreconditionError) as caught:
        export_onnx(graph, (torch.ones(3),), tmp_path / "model.onnx")
    message = str(caught.value)
    assert caught.value.reason == "NOT_EXPORTABLE"
    assert "data-dependent" in message and message.endswith("export to torchscript instead")
    assert "\n" not in message and "\x1b" not in message
    assert not (tmp_path / "model.onnx").exists()
