"""ONNX export, with dynamic batch and length."""

import logging
import warnings
from pathlib import Path

import onnx_ir
import torch
from onnx_ir.passes.common import ClearMetadataAndDocStringPass
from torch import Tensor

from headstart_server.export.graph import ExportGraph
from headstart_server.export.graph_names import unused
from headstart_server.export.onnx_trees import tree_translations

OPSET = 18
WEIGHTS_APART = "model.onnx.data"
"""The file that torch writes beside `model.onnx` where weights exceed what one protobuf message holds (2 GiB)."""


def export_onnx(graph: ExportGraph, examples: tuple[Tensor, ...], path: Path) -> None:
    """Writes the graph, large weights into a file beside it; raises whatever torch does where it cannot."""
    dynamic = {axis: torch.export.Dim.DYNAMIC for item in graph.inputs for axis in item.axes if isinstance(axis, str)}
    shapes = tuple(
        {index: dynamic[axis] for index, axis in enumerate(item.axes) if isinstance(axis, str)} for item in graph.inputs
    )
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            graph,
            examples,
            dynamo=True,
            opset_version=OPSET,
            # One entry: the tensors are all in the one variadic argument of `forward`.
            dynamic_shapes=(shapes,),
            verbose=False,
            custom_translation_table=tree_translations(graph),
        )
        assert program is not None  # dynamo=True
        _name(program.model.graph, [item.name for item in graph.inputs], graph.output_names)
        ClearMetadataAndDocStringPass()(program.model)  # it holds the paths of the machine that exports
        program.save(path)


def _name(graph: onnx_ir.Graph, inputs: list[str], outputs: list[str]) -> None:
    """Names inputs and outputs; a value inside that is called so already, as `linear` may be, makes way.

    Of `input_names` torch checks no more than that they differ: a weight of that name would be overridden.
    """
    taken, ends = {*inputs, *outputs}, {*graph.inputs, *graph.outputs}
    inner = [*graph.initializers.values(), *(value for node in graph.all_nodes() for value in node.outputs)]
    every = taken | {value.name or "" for value in inner}
    for value in inner:
        if value.name in taken and value not in ends:
            value.name = unused(value.name, every)
    for value, name in zip((*graph.inputs, *graph.outputs), (*inputs, *outputs), strict=True):
        value.name = name
