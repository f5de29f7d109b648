"""What torch cannot export to ONNX is told in one line that says why; names are as asked for, whatever is inside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from headstart_server.core.errors import NotExportableError
from headstart_server.export.graph_inputs import GraphInput
from headstart_server.export.onnx import export_onnx
from headstart_server.export.refusal import refusals_named
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
    with pytest.raises(NotExportableError) as caught, refusals_named("onnx"):
        export_onnx(graph, (torch.ones(3),), tmp_path / "model.onnx")
    message = str(caught.value)
    assert caught.value.reason == "NOT_EXPORTABLE"
    assert "data-dependent" in message and message.startswith("this model cannot be exported to ONNX")
    assert "\n" not in message and "\x1b" not in message
    assert not (tmp_path / "model.onnx").exists()


class Named(nn.Module):
    """A linear layer and a product, whose inner values torch calls `linear`, `mul` and so on."""

    def __init__(self, inputs: list[str], outputs: list[str]) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)
        axes: list[tuple[str | int, ...]] = [("batch", 3), ("batch", 2)]
        self.inputs = [
            GraphInput(name, name, "value", torch.float32, shape, name)
            for name, shape in zip(inputs, axes, strict=True)
        ]
        self.output_names = outputs

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        found = self.layer(tensors[0])
        return torch.softmax(found + tensors[1], -1), found * tensors[1]


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        (["linear", "add"], ["mul", "softmax"]),
        (["layer.weight", "val_0"], ["linear", "add"]),
        (["größe", "a b/c:0"], ["漢字", "tensors_0"]),
    ],
)
def test_names_are_those_asked_for_whatever_values_inside_are_called(
    tmp_path: Path, inputs: list[str], outputs: list[str]
) -> None:
    graph: Any = Named(inputs, outputs).eval()
    examples = torch.randn(2, 3), torch.randn(2, 2)
    export_onnx(graph, examples, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    assert [item.name for item in session.get_inputs()] == inputs
    feeds = {name: tensor.numpy() for name, tensor in zip(inputs, examples, strict=True)}
    with torch.inference_mode():
        for found, expected in zip(session.run(outputs, feeds), graph(*examples), strict=True):
            np.testing.assert_allclose(found, expected.numpy(), atol=1e-6)
