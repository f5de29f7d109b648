"""Exports a small model over an encoder, and compares what the files answer with the live encoder, row by row."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import torch
import transformers
from headstart_server.encoders.text_encoder import TextEncoder
from headstart_server.encoders.text_preparation import TextPreparation
from headstart_server.export.graph import ExportGraph
from headstart_server.export.onnx import export_onnx
from headstart_server.export.refusal import refusals_named
from headstart_server.export.torchscript import export_torchscript, load_torchscript
from headstart_server.model.ecd import ECD, PretrainedInput, Tokens
from headstart_server.spec.model import CombinerSpec
from tokenizers import Tokenizer, models
from torch import Tensor

from tests.support.training import feature_of


def exported_differences(encoder: TextEncoder, rows: list[list[int]]) -> dict[str, float | Exception]:
    """The largest difference of a probability by format, or what was raised instead."""
    found: dict[str, float | Exception] = {}
    for file_format in ("onnx", "torchscript"):
        try:
            with tempfile.TemporaryDirectory() as folder, refusals_named(file_format):
                found[file_format] = _difference(encoder, rows, file_format, Path(folder))
        except Exception as error:  # noqa: BLE001 - the caller tells refusals from failures
            found[file_format] = error
    return found


def _difference(encoder: TextEncoder, rows: list[list[int]], file_format: str, folder: Path) -> float:
    graph = _graph(encoder)
    examples = _padded(rows, 16)
    if file_format == "onnx":
        export_onnx(graph, examples, folder / "model.onnx")
        session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])

        def run(tensors: tuple[Tensor, Tensor]) -> np.ndarray:
            feeds = {item.name: tensor.numpy() for item, tensor in zip(graph.inputs, tensors, strict=True)}
            return np.asarray(session.run(graph.output_names, feeds)[0])
    else:
        export_torchscript(graph, examples, {"t": _preparation()}, folder / "model.pt")
        module = load_torchscript(folder / "model.pt")

        def run(tensors: tuple[Tensor, Tensor]) -> np.ndarray:
            with torch.inference_mode():
                found: np.ndarray = module(list(tensors))[0].numpy()
            return found

    largest = 0.0
    with torch.inference_mode():
        expected = [
            graph.model.probabilities(graph.model({"t": Tokens(torch.tensor([row]), None)}))["y"] for row in rows
        ]
    for chosen in ([0], [1], [4], [0, 1, 2, 3, 4], [2, 2], [4, 0]):
        for extra in (0, 3):
            answers = run(_padded([rows[index] for index in chosen], extra))
            wanted = torch.cat([expected[index] for index in chosen]).numpy()
            largest = max(largest, float(np.abs(answers - wanted).max()))
    return largest


def _preparation() -> TextPreparation:
    """A tokenizer that TorchScript has no reader for: the graph takes token ids."""
    tokenizer = Tokenizer(models.BPE({"<unk>": 0, "a": 1}, [], unk_token="<unk>"))
    return TextPreparation(transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer), 16, 0)


def _graph(encoder: TextEncoder) -> ExportGraph:
    torch.manual_seed(1)
    inputs = (feature_of("t", "text", ["a", "b"]),)
    outputs = (feature_of("y", "category", ["a", "b", "c"], output=True),)
    item = PretrainedInput(encoder.dimension)
    model = ECD(inputs, outputs, CombinerSpec.model_validate({"num_fc_layers": 1, "output_size": 16}), {"t": item})
    item.restore(encoder)
    return ExportGraph(model.eval(), inputs, outputs, head_only=False).eval()


def _padded(rows: list[list[int]], extra: int) -> tuple[Tensor, Tensor]:
    """(ids, mask) of rows, some columns wider than the longest."""
    width = max(map(len, rows)) + extra
    ids, mask = torch.ones(len(rows), width, dtype=torch.long), torch.zeros(len(rows), width, dtype=torch.long)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row)
        mask[index, : len(row)] = 1
    return ids, mask
