"""What goes with an exported graph: tokenizers, metadata, parity report, a runner where there can be one, a README."""

import importlib.resources
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from headstart_server.core.errors import FailedPreconditionError
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.images.transform import ImageTransform
from headstart_server.encoders.text import TextPreparation
from headstart_server.export.graph import ExportGraph
from headstart_server.export.parity import TOLERANCE, Parity
from headstart_server.model.bundle import Bundle
from headstart_server.serving.decode import THRESHOLD


def write_companions(
    folder: Path,
    bundle: Bundle,
    graph: ExportGraph,
    preparations: dict[str, TextPreparation | ImageTransform],
    parity: Parity,
    file_format: str,
    *,
    raw: bool,
) -> None:
    """Writes them into the artifact's folder; `raw` says whether a TorchScript graph reads raw cells."""
    tokenizers, transforms = {}, {}
    for index, (name, preparation) in enumerate(() if graph.head_only else preparations.items()):
        if isinstance(preparation, ImageTransform):
            transforms[name] = preparation.describe()
        else:
            tokenizers[name] = f"tokenizers/{index}.json"
            _save_tokenizer(preparation, folder / tokenizers[name])
    model = bundle.folder.name
    about = {"model": model, "format": file_format, "head_only": graph.head_only, "reads_raw_cells": raw}
    _json(
        folder / "metadata.json", {**about, **_description(graph), "tokenizers": tokenizers, "transforms": transforms}
    )
    _json(folder / "parity.json", {"tolerance": TOLERANCE, **asdict(parity)})
    runtime = importlib.resources.files("headstart_server.export") / "runtime"
    runs = not graph.head_only and (file_format == "onnx" or raw)
    if runs:
        shutil.copyfile(str(runtime / f"predict_{file_format}.py"), folder / "predict.py")
        shutil.copyfile(str(runtime / "prediction_csv.py"), folder / "prediction_csv.py")
        if transforms:
            shutil.copyfile(str(runtime / "image_files.py"), folder / "image_files.py")
    how = runtime / f"README_{file_format}{'' if runs else '_tensors'}.md"
    readme = how.read_text(encoding="utf-8") + (runtime / "README_tables.md").read_text(encoding="utf-8")
    for key, value in _words(bundle, graph, parity, file_format).items():
        readme = readme.replace("{{" + key + "}}", value)
    (folder / "README.md").write_text(readme, encoding="utf-8")


def _description(graph: ExportGraph) -> dict[str, Any]:
    """Inputs, outputs and features as `metadata.json` has them."""
    inputs = [
        {
            "name": item.name,
            "feature": item.feature,
            "role": item.role,
            "dtype": str(item.dtype).removeprefix("torch."),
            "shape": item.axes,
        }
        for item in graph.inputs
    ]
    features = {feature.name: {"column": feature.spec.source, **feature.to_json()} for feature in graph.features}
    return {"inputs": inputs, "outputs": [_output(feature) for feature in graph.outputs], "features": features}


def _output(feature: FittedFeature) -> dict[str, Any]:
    threshold = feature.spec.decoder.threshold or THRESHOLD
    values = {"name": feature.name, "type": feature.spec.type, "classes": feature.classes}
    return {**values, "threshold": threshold} if feature.spec.type in ("binary", "set") else values


def _save_tokenizer(preparation: TextPreparation, path: Path) -> None:
    backend = getattr(preparation.tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise FailedPreconditionError(
            "the tokenizer has no portable form (tokenizer.json); this model cannot be exported"
        )
    tokenizer = Tokenizer.from_str(backend.to_str())
    tokenizer.enable_truncation(preparation.max_length)
    tokenizer.enable_padding(pad_id=preparation.padding, pad_token=preparation.tokenizer.pad_token)
    path.parent.mkdir(exist_ok=True)
    tokenizer.save(str(path))


def _words(bundle: Bundle, graph: ExportGraph, parity: Parity, file_format: str) -> dict[str, str]:
    """What the READMEs leave open."""
    columns = list(dict.fromkeys(feature.spec.source for feature in bundle.inputs))
    inputs = "\n".join(
        f"| `{item.name}` | {item.role} | {str(item.dtype).removeprefix('torch.')} | {list(item.axes)} |"
        for item in graph.inputs
    )
    outputs = "\n".join(
        f"| `{feature.name}` | {feature.spec.type} | {_listed(feature.classes)} |" for feature in graph.outputs
    )
    return {
        "MODEL": bundle.folder.name,
        "COLUMNS": ", ".join(f"`{column}`" for column in columns),
        "EXAMPLE": ", ".join(f"{json.dumps(column, ensure_ascii=False)}: [...]" for column in columns),
        "INPUTS": inputs,
        "OUTPUTS": outputs,
        "FILE": "model.onnx" if file_format == "onnx" else "model.pt",
        "DIFFERENCE": f"{parity.max_difference:.1e}",
        "SCOPE": "head only: inputs are embeddings" if graph.head_only else "encoder included",
    }


def _listed(classes: list[str]) -> str:
    return ", ".join(classes[:20]) + (f", ... ({len(classes)} in all)" if len(classes) > 20 else "")


def _json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf-8")
