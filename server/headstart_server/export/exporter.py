"""Exports a model: a graph that is checked before it is published, and what goes with it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from torch import Tensor

from headstart_server.core.digests import file_digest
from headstart_server.core.errors import FailedPreconditionError, NotFoundError
from headstart_server.core.names import new_id
from headstart_server.data.images.transform import ImageTransform
from headstart_server.data.tables import Table, table_of_arrow
from headstart_server.encoders.text_preparation import TextPreparation
from headstart_server.export.artifacts import Artifact, ArtifactFile, ArtifactRegistry
from headstart_server.export.companions import write_companions
from headstart_server.export.graph import ExportGraph
from headstart_server.export.onnx import export_onnx
from headstart_server.export.parity import BATCH_SIZES, TOLERANCE, Parity, Run, check_parity, graph_inputs, raw_cells
from headstart_server.export.torchscript import export_torchscript, load_torchscript
from headstart_server.model.bundle import Bundle, EncoderVault
from headstart_server.serving.predictor import Predictor

FILES = {"onnx": "model.onnx", "torchscript": "model.pt"}
Say = Callable[[str, str], None]
"""Hears (stage, message)."""


class Exporter:
    """Exports on the CPU, whose arithmetic every runtime shares."""

    def __init__(self, artifacts: ArtifactRegistry, vault: EncoderVault) -> None:
        self._artifacts, self._vault = artifacts, vault

    def export(self, bundle: Bundle, predictor: Predictor, file_format: str, head_only: bool, say: Say) -> Artifact:
        """The artifact, made unless it is there.

        Raises FailedPreconditionError if it differs from the live model, NotFoundError if the model is deleted before
        it is loaded; an export that has begun needs no file of it any more.
        """
        known = self._artifacts.find(bundle.folder.name, file_format, head_only=head_only)
        if known is not None:
            return known
        say("load", "loading the model with its encoders")
        with deletion_named(bundle):
            model = bundle.model(self._vault, with_encoders=not head_only)
            preparations = {name: bundle.preparation(name, self._vault) for name in bundle.encoders}
            sample = bundle.sample()
        graph = ExportGraph(model, bundle.inputs, bundle.outputs, head_only=head_only).eval()
        identifier = new_id()
        with self._artifacts.publish(identifier) as folder:
            say("trace", f"exporting to {file_format}")
            path = folder / FILES[file_format]
            raw = self._write(graph, predictor, preparations, sample, path, file_format)
            say(
                "check", f"comparing with the live model at {', '.join(map(str, BATCH_SIZES))} rows and several lengths"
            )
            parity = check_parity(predictor, graph, sample, _runner(path, file_format, graph, raw=raw))
            _require_parity(parity)
            say("publish", f"largest difference {parity.max_difference:.1e}")
            write_companions(folder, bundle, graph, preparations, parity, file_format, raw=raw)
            now, files = datetime.now(UTC).isoformat(), _files_of(folder)
            artifact = Artifact(
                identifier, bundle.folder.name, file_format, head_only, now, files, parity.max_difference
            )
            self._artifacts.describe(folder, artifact)
        return artifact

    def _write(
        self,
        graph: ExportGraph,
        predictor: Predictor,
        preparations: dict[str, TextPreparation | ImageTransform],
        sample: Any,
        path: Path,
        file_format: str,
    ) -> bool:
        table = table_of_arrow(sample.slice(0, 1 if graph.images else min(3, sample.num_rows)), "sample")
        examples = graph_inputs(graph, predictor.rows(table), predictor)
        if file_format == "onnx":
            export_onnx(graph, _at_least_two(examples), path)
            return False
        return export_torchscript(graph, examples, preparations, path)


@contextmanager
def deletion_named(bundle: Bundle) -> Iterator[None]:
    """Whatever fails inside is NotFoundError where the model has been deleted meanwhile."""
    try:
        yield
    except Exception as error:
        if bundle.folder.is_dir():
            raise
        message = f"models/{bundle.folder.name} was deleted before its export could read it"
        raise NotFoundError(message, field="model") from error


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


def _require_parity(parity: Parity) -> None:
    if not parity.max_difference <= TOLERANCE:
        raise FailedPreconditionError(
            f"the exported graph differs from the live model by {parity.max_difference:.2e}, more than "
            f"{TOLERANCE:g}; it is not published",
            reason="PARITY",
        )


def _files_of(folder: Path) -> list[ArtifactFile]:
    return [
        ArtifactFile(str(file.relative_to(folder)), file.stat().st_size, file_digest(file))
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    ]
