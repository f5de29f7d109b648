"""ONNX export, with dynamic batch and length."""

import logging
import warnings
from pathlib import Path

import torch
from onnx_ir.passes.common import ClearMetadataAndDocStringPass
from torch import Tensor

from headstart_server.core.errors import FailedPreconditionError
from headstart_server.export.graph import ExportGraph

OPSET = 18
WEIGHTS_APART = "model.onnx.data"
"""The file that torch writes beside `model.onnx` where weights exceed what one protobuf message holds (2 GiB)."""


def export_onnx(graph: ExportGraph, examples: tuple[Tensor, ...], path: Path) -> None:
    """Writes the graph, large weights into a file beside it; raises FailedPreconditionError where torch cannot."""
    dynamic = {axis: torch.export.Dim.DYNAMIC for item in graph.inputs for axis in item.axes if isinstance(axis, str)}
    shapes = tuple(
        {index: dynamic[axis] for index, axis in enumerate(item.axes) if isinstance(axis, str)} for item in graph.inputs
    )
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                graph,
                examples,
                dynamo=True,
                opset_version=OPSET,
                input_names=[item.name for item in graph.inputs],
                output_names=graph.output_names,
                dynamic_shapes=(shapes,),
                verbose=False,
            )
            assert program is not None  # dynamo=True
            ClearMetadataAndDocStringPass()(program.model)  # it holds the paths of the machine that exports
            program.save(path)
    except torch.onnx.OnnxExporterError as error:
        raise FailedPreconditionError(
            f"torch cannot export this architecture to ONNX: {_cause(error)}; export to torchscript instead",
            reason="NOT_EXPORTABLE",
        ) from error


def _cause(error: BaseException) -> str:
    """What went wrong at first, in one line: the exporter wraps it in pages of advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
