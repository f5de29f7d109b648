"""Exports a model: a graph that is checked before it is published, and what goes with it."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import pyarrow as pa
import torch
from torch import Tensor

from headstart_server.core.errors import FailedPreconditionError, NotExportableError
from headstart_server.core.names import new_id
from headstart_server.core.reasons import Reason
from headstart_server.data.images.transform import ImageTransform
from headstart_server.data.tables import Table, table_of_arrow
from headstart_server.encoders.text_preparation import TextPreparation
from headstart_server.export.artifacts import Artifact, ArtifactRegistry, files_of
from headstart_server.export.companions import require_portable_tokenizers, write_companions
from headstart_server.export.graph import ExportGraph
from headstart_server.export.onnx import export_onnx
from headstart_server.export.parity import (
    BATCH_SIZES,
    TOLERANCE,
    Parity,
    Run,
    check_parity,
    difference_of,
    graph_inputs,
    raw_cells,
)
from headstart_server.export.refusal import NAMES, attempted, refusals_named, with_way_out
from headstart_server.export.torchscript import export_torchscript, load_torchscript
from headstart_server.model.bundle import Bundle
from headstart_server.model.encoder_store import EncoderStore
from headstart_server.model.integrity import deletion_named
from headstart_server.serving.predictor import Predictor

FILES = {"onnx": "model.onnx", "torchscript": "model.pt"}
Say = Callable[[str, str], None]
"""Takes (stage, message)."""


class Exporter:
    """Exports on the CPU, whose arithmetic every runtime shares."""

    def __init__(self, artifacts: ArtifactRegistry, encoder_store: EncoderStore) -> None:
        self._artifacts, self._encoder_store = artifacts, encoder_store

    def export(
        self,
        bundle: Bundle,
        predictor: Predictor,
        file_format: str,
        head_only: bool,
        say: Say,
        identifier: str = "",
    ) -> Artifact:
        """The artifact, made unless it is there; a new one is called `identifier` if that is given.

        Raises FailedPreconditionError if it differs from the live model or cannot be made, with what works instead;
        NotFoundError if the model is deleted before it is loaded; an export that has begun needs no file of it.
        """
        known = self._artifacts.find(bundle.folder.name, file_format, head_only=head_only)
        if known is not None:
            return known
        say("load", "loading the model with its encoders")
        with deletion_named(bundle.folder, "export"):
            model = bundle.model(self._encoder_store, with_encoders=not head_only)
            preparations = {name: bundle.preparation(name, self._encoder_store) for name in bundle.encoders}
            sample = bundle.sample()
        graph = ExportGraph(model, bundle.inputs, bundle.outputs, head_only=head_only).eval()
        if not head_only:
            require_portable_tokenizers(preparations)
        identifier = identifier or new_id()
        with self._artifacts.publish(identifier) as folder:
            say("trace", f"exporting to {file_format}")
            making = _Making(graph, predictor, preparations, sample, say)
            raw, parity = making.made(folder, file_format)
            say("publish", f"largest difference {parity.max_difference:.1e}")
            write_companions(folder, bundle, graph, preparations, parity, file_format, raw=raw)
            now, files = datetime.now(UTC).isoformat(), files_of(folder)
            artifact = Artifact(
                identifier, bundle.folder.name, file_format, head_only, now, files, parity.max_difference
            )
            self._artifacts.describe(folder, artifact)
        return artifact


@dataclass(frozen=True)
class _Making:
    """What a graph is written and checked with."""

    graph: ExportGraph
    predictor: Predictor
    preparations: dict[str, TextPreparation | ImageTransform]
    sample: pa.Table
    say: Say

    def made(self, folder: Path, file_format: str) -> tuple[bool, Parity]:
        """Whether the graph, now in `folder`, reads raw cells, and how it compares; a refusal says what does work."""
        try:
            return self._checked(folder, file_format)
        except NotExportableError as error:
            self.say("trace", f"{NAMES[file_format]} does not hold this model; looking for what does")
            said = with_way_out(error, file_format, self.graph.head_only, lambda other: self._works(folder, other))
            raise FailedPreconditionError(said, reason=error.reason) from error

    def _works(self, folder: Path, file_format: str) -> bool:
        """Whether the model can be exported so."""
        with tempfile.TemporaryDirectory(dir=folder) as beside:
            return attempted(lambda: self._checked(Path(beside), file_format))

    def _checked(self, folder: Path, file_format: str) -> tuple[bool, Parity]:
        with refusals_named(file_format):
            path = folder / FILES[file_format]
            raw = self._write(path, file_format)
            sizes = ", ".join(map(str, BATCH_SIZES))
            self.say("check", f"comparing with the live model at {sizes} rows and several lengths")
            run = _runner(path, file_format, self.graph, raw=raw)
            parity = check_parity(self.predictor, self.graph, self.sample, run)
            _require_parity(parity, file_format)
        return raw, parity

    def _write(self, path: Path, file_format: str) -> bool:
        # Images of different sizes do not fit into one tensor.
        count = 1 if self.graph.images else min(3, self.sample.num_rows)
        table = table_of_arrow(self.sample.slice(0, count), "sample")
        examples = graph_inputs(self.graph, self.predictor.rows(table), self.predictor)
        if file_format == "onnx":
            export_onnx(self.graph, _at_least_two(examples), path)
            return False
        return export_torchscript(self.graph, examples, self.preparations, path)


def _at_least_two(examples: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """torch.export takes a dimension of 1 for a constant."""
    return tuple(torch.cat([tensor, tensor]) if tensor.shape[0] == 1 else tensor for tensor in examples)


def _runner(path: Path, file_format: str, graph: ExportGraph, *, raw: bool) -> Run:
    return _onnx_runner(path, graph) if file_format == "onnx" else _torchscript_runner(path, graph, raw=raw)


def _onnx_runner(path: Path, graph: ExportGraph) -> Run:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(tensors: tuple[Tensor, ...], _: Table | None) -> list[list[npt.NDArray[np.floating]]]:
        feeds = {item.name: tensor.numpy() for item, tensor in zip(graph.inputs, tensors, strict=True)}
        return [[np.asarray(output) for output in session.run(graph.output_names, feeds)]]

    return run


def _torchscript_runner(path: Path, graph: ExportGraph, *, raw: bool) -> Run:
    module = load_torchscript(path)

    def run(tensors: tuple[Tensor, ...], table: Table | None) -> list[list[npt.NDArray[np.floating]]]:
        with torch.inference_mode():
            found = [[output.numpy() for output in module(list(tensors))]]
            if raw and table is not None:
                images = {
                    item.column: tensor
                    for item, tensor in zip(graph.inputs, tensors, strict=True)
                    if item.role == "image"
                }
                outputs = module.predict(raw_cells(graph, table), 1, images)
                found.append([outputs[name].numpy() for name in graph.output_names])
        return found

    return run


def _require_parity(parity: Parity, file_format: str) -> None:
    # Not `>`, which NaN would pass.
    if not parity.max_difference <= TOLERANCE:
        worst = max(parity.checks, key=difference_of)
        raise NotExportableError(
            f"the {NAMES[file_format]} graph differs from the live model by {parity.max_difference:.2e} "
            f"({worst['case']}), more than {TOLERANCE:g}; it is not published",
            reason=Reason.PARITY,
        )
