"""What goes with an exported graph: tokenizers, metadata, parity report, a runner where there can be one, a README."""

import importlib.resources
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from headstart.files import delimiters
from tokenizers import Tokenizer

from headstart_server.core.errors import FailedPreconditionError
from headstart_server.core.reasons import Reason
from headstart_server.data import spellings
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.images.transform import ImageTransform
from headstart_server.encoders.text_preparation import TextPreparation
from headstart_server.export.graph import ExportGraph
from headstart_server.export.onnx import WEIGHTS_APART
from headstart_server.export.parity import TOLERANCE, Parity
from headstart_server.model.bundle import Bundle
from headstart_server.serving.decode import THRESHOLD

_WEIGHTS_APART = (
    f"\nIts weights are more than one ONNX file may hold: they lie in `{WEIGHTS_APART}`, which belongs beside it.\n"
)


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
    runs = not graph.head_only and (file_format == "onnx" or raw)
    _copy_scripts(folder, file_format, runs=runs, images=bool(transforms))
    readme = _readme(bundle, graph, parity, file_format, runs=runs)
    apart = file_format == "onnx" and (folder / WEIGHTS_APART).exists()
    readme = readme.replace("{{WEIGHTS_APART}}", _WEIGHTS_APART if apart else "")
    (folder / "README.md").write_text(readme, encoding="utf-8")


def _copy_scripts(folder: Path, file_format: str, *, runs: bool, images: bool) -> None:
    """Those that run the artifact, and those that read its images."""
    names = {f"predict_{file_format}.py": "predict.py"} if runs else {}
    names |= {"prediction_csv.py": "prediction_csv.py"} if runs or images else {}
    names |= {"image_files.py": "image_files.py"} if images else {}
    for name, copied in names.items():
        shutil.copyfile(str(_runtime() / name), folder / copied)
    if runs or images:
        shutil.copyfile(str(delimiters.__file__), folder / "delimiters.py")
    if runs:
        shutil.copyfile(str(spellings.__file__), folder / "spellings.py")


def _readme(bundle: Bundle, graph: ExportGraph, parity: Parity, file_format: str, *, runs: bool) -> str:
    """How to run the artifact, how to feed it images, what goes in and comes out."""
    parts = [f"README_{file_format}{'' if runs else '_tensors'}.md"]
    parts += ["README_images.md"] if graph.images and not graph.head_only else []
    parts += ["README_tables.md"]
    readme = "".join((_runtime() / part).read_text(encoding="utf-8") for part in parts)
    for key, value in _words(bundle, graph, parity, file_format).items():
        readme = readme.replace("{{" + key + "}}", value)
    return readme


def _runtime() -> Path:
    return Path(str(importlib.resources.files("headstart_server.export"))) / "runtime"


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


def require_portable_tokenizers(preparations: Mapping[str, TextPreparation | ImageTransform]) -> None:
    """Raises FailedPreconditionError where a tokenizer could not go with the graph."""
    for name, preparation in preparations.items():
        if isinstance(preparation, TextPreparation) and not getattr(preparation.tokenizer, "backend_tokenizer", None):
            raise FailedPreconditionError(
                f"the tokenizer of {name!r} has no portable form (tokenizer.json), without which nobody could feed the "
                "exported encoder; export the head alone (head_only), which takes the embeddings that Embed gives",
                reason=Reason.NOT_EXPORTABLE,
            )


def _save_tokenizer(preparation: TextPreparation, path: Path) -> None:
    # A copy, for the live one must keep its truncation.
    tokenizer = Tokenizer.from_str(preparation.tokenizer.backend_tokenizer.to_str())
    tokenizer.enable_truncation(preparation.max_length)
    tokenizer.enable_padding(pad_id=preparation.padding, pad_token=preparation.tokenizer.pad_token)
    path.parent.mkdir(exist_ok=True)
    tokenizer.save(str(path))


def _words(bundle: Bundle, graph: ExportGraph, parity: Parity, file_format: str) -> dict[str, str]:
    """What the READMEs leave open; what holds other words comes first."""
    columns = list(dict.fromkeys(feature.spec.source for feature in bundle.inputs))
    inputs = "\n".join(
        f"| `{item.name}` | {item.role} | {str(item.dtype).removeprefix('torch.')} | {list(item.axes)} |"
        for item in graph.inputs
    )
    outputs = "\n".join(
        f"| `{feature.name}` | {feature.spec.type} | {_listed(feature.classes)} |" for feature in graph.outputs
    )
    return {
        **_image_words(graph, columns),
        **_package_words(graph, file_format),
        "MODEL": bundle.folder.name,
        "COLUMNS": ", ".join(f"`{column}`" for column in columns),
        "EXAMPLE": _cells(columns),
        "INPUTS": inputs,
        "OUTPUTS": outputs,
        "FILE": "model.onnx" if file_format == "onnx" else "model.pt",
        "DIFFERENCE": f"{parity.max_difference:.1e}",
        "SCOPE": "head only: inputs are embeddings" if graph.head_only else "encoder included",
    }


def _image_words(graph: ExportGraph, columns: list[str]) -> dict[str, str]:
    """What is said of images only where there are some."""
    sources = {feature.name: feature.spec.source for feature in graph.features}
    images = list(dict.fromkeys(sources[name] for name in graph.images))
    cells = "{" + _cells([column for column in columns if column not in images]) + "}"
    pixels = ", ".join(f"{json.dumps(column, ensure_ascii=False)}: pixels" for column in images)
    part = (_runtime() / "README_image_cells.md").read_text(encoding="utf-8").lstrip() + "\n"
    return {
        "IMAGE_CELLS": part if images else "",
        "IMAGES": ", ".join(f"`{name}`" for name in graph.images),
        "IMAGE_COLUMNS": " or ".join(f"`{column}`" for column in images),
        "BUT_IMAGES": ", apart from images, whose pixels it is given" if images else "",
        "CALL": f"{cells}, 1, {{{pixels}}}" if images else cells,
    }


def _package_words(graph: ExportGraph, file_format: str) -> dict[str, str]:
    """What `predict.py` needs: packages, and the scripts beside it."""
    packages = ["onnxruntime"] if file_format == "onnx" else ["torch"]
    texts = any(feature.spec.type == "text" for feature in graph.features)
    packages += ["tokenizers"] if texts and file_format == "onnx" else []
    packages += ["numpy", "pillow"] if graph.images else []
    scripts = [
        "`prediction_csv.py`",
        "`delimiters.py`",
        "`spellings.py`",
        *(["`image_files.py`"] if graph.images else []),
    ]
    return {"PACKAGES": " ".join(packages), "SCRIPTS": " and ".join([", ".join(scripts[:-1]), scripts[-1]])}


def _cells(columns: list[str]) -> str:
    return ", ".join(f"{json.dumps(column, ensure_ascii=False)}: [...]" for column in columns)


def _listed(classes: list[str]) -> str:
    return ", ".join(classes[:20]) + (f", ... ({len(classes)} in all)" if len(classes) > 20 else "")


def _json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf-8")
