"""Finds weights of torchvision's models: the model root, torch's hub cache, torchvision's own server where allowed.

Only tensors are read (`weights_only`), and a file that carries a digest in its name must have it.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch

from headstart_server.core.digests import file_digest, fingerprint
from headstart_server.core.errors import invalid
from headstart_server.core.files import read_json, resolve_below
from headstart_server.core.reasons import Reason
from headstart_server.core.suggest import choices
from headstart_server.data.images.transform import ImageTransform
from headstart_server.encoders.model_folder import require_fetched
from headstart_server.encoders.sources import CHECKPOINT_ENDINGS, ModelSources
from headstart_server.encoders.torchvision_checkpoints import image_side, read_checkpoint
from headstart_server.encoders.torchvision_models import Architecture, transform_of

ABOUT = "encoder.json"
"""Describes a folder of weights that this server saved."""


@dataclass(frozen=True)
class TorchvisionSource:
    """Weights of one architecture, and the transform that goes with them; no weights where it starts from random."""

    name: str
    architecture: str
    transform: ImageTransform
    weights: Path | None

    @cached_property
    def weights_digest(self) -> str:
        """Digest of the architecture and the weights' file."""
        weights = file_digest(self.weights) if self.weights else ""
        return fingerprint({"architecture": self.architecture, "weights": weights})

    @property
    def identity(self) -> str:
        """Digest of everything that makes the encoder."""
        return fingerprint({"weights": self.weights_digest, "transform": self.transform.describe()})

    @property
    def size_bytes(self) -> int:
        """Size of the weights."""
        return self.weights.stat().st_size if self.weights else 0

    def copy(self, folder: Path) -> None:
        """Copies weights and description into a folder, from which `opened` reads them."""
        assert self.weights is not None
        shutil.copyfile(self.weights, folder / f"weights{self.weights.suffix}")
        self.describe(folder)

    def describe(self, folder: Path) -> None:
        """Writes what a folder's weights are."""
        about = {"architecture": self.architecture, "transform": self.transform.describe()}
        (folder / ABOUT).write_text(json.dumps(about, indent=1), encoding="utf-8")

    @classmethod
    def opened(cls, name: str, folder: Path) -> "TorchvisionSource":
        """The inverse of `copy`."""
        about = read_json(folder / ABOUT)
        transform = ImageTransform.from_description(about["transform"])
        return cls(name, about["architecture"], transform, _only(folder))

    def read(self, field: str) -> dict[str, Any]:
        """What is in the file by name; raises InvalidInputError naming `field`."""
        assert self.weights is not None
        return read_checkpoint(self.weights, self.name, field)


def find_weights(sources: ModelSources, item: Architecture, name: str | None, field: str) -> TorchvisionSource:
    """The weights of that name, or the published ones; raises InvalidInputError naming `field` and where it looked.

    `name` is a file or folder below the model root, or published weights: `IMAGENET1K_V2`, or the name of their file.
    """
    known = {key: weights for weights in item.published.values() for key in (weights.name, _file_name(weights))}
    if name is not None and name not in known:
        return _own(sources, item, name, field)
    wanted = [known[name]] if name else list(item.published.values())
    for weights in wanted:
        for path in _places(sources, item, weights):
            if path.is_file():
                _verify(path, field)
                return TorchvisionSource(f"{item.name} {weights.name}", item.name, transform_of(weights), path)
    if name is None and sources.model_root is not None and (sources.model_root / item.name).is_dir():
        return _own(sources, item, item.name, field)
    if sources.hub_allowed:
        return _downloaded(item, wanted[0], field)
    raise invalid(field, _not_found(sources, item, wanted), reason=Reason.UNKNOWN_MODEL)


def without_weights(item: Architecture) -> TorchvisionSource:
    """A source for training from random weights, with the transform of the published ones."""
    weights = next(iter(item.published.values()))
    return TorchvisionSource(f"{item.name} random", item.name, transform_of(weights), None)


def _own(sources: ModelSources, item: Architecture, name: str, field: str) -> TorchvisionSource:
    """Weights below the model root; those published under that file name come with their transform."""
    if sources.model_root is None:
        known = choices(name, list(item.published), "published")
        raise invalid(field, f"{name[:120]!r} is on no model root (start the server with --model-root){known}")
    path = resolve_below(sources.model_root, name, field)
    path = (_only(path) or path) if path.is_dir() else path
    if not path.is_file() or path.suffix not in CHECKPOINT_ENDINGS:
        known = choices(name, list(item.published), "published")
        raise invalid(
            field,
            f"no weights called {name[:120]!r} in the model root: give a file ending in "
            f"{', '.join(CHECKPOINT_ENDINGS)}, or a folder that holds one{known}",
            reason=Reason.UNKNOWN_MODEL,
        )
    require_fetched(path, repr(name[:120]), field)
    published = {_file_name(weights): weights for weights in item.published.values()}
    if path.name not in published:
        return TorchvisionSource(name, item.name, _fitting_transform(item, path, name, field), path)
    _verify(path, field)
    return TorchvisionSource(name, item.name, transform_of(published[path.name]), path)


def _fitting_transform(item: Architecture, path: Path, name: str, field: str) -> ImageTransform:
    """The recommended weights' transform; for a ViT, whose weights fit one size only, that of weights of its size."""
    transforms = [transform_of(weights) for weights in item.published.values()]
    side = image_side(item.name, read_checkpoint(path, name, field)) if item.family == "vit" else None
    if side is None:
        return transforms[0]
    fitting = [transform for transform in transforms if transform.crop == (side, side)]
    return fitting[0] if fitting else replace(transforms[0], resize=side, crop=(side, side))


def _places(sources: ModelSources, item: Architecture, weights: Any) -> Iterator[Path]:
    name = _file_name(weights)
    if sources.model_root is not None:
        yield sources.model_root / name
        yield sources.model_root / item.name / name
    yield Path(torch.hub.get_dir()) / "checkpoints" / name


def _verify(path: Path, field: str) -> None:
    """torchvision's file names end in the first digits of the file's SHA-256."""
    require_fetched(path, path.name, field)
    expected = path.stem.rpartition("-")[2]
    digest = file_digest(path)
    if not digest.startswith(expected):
        raise invalid(
            field,
            f"{path.name} has the SHA-256 {digest[:16]}..., not one beginning with {expected} as its name says: it is "
            "damaged, or not torchvision's file; fetch it again, or give weights of your own a name of their own",
            reason=Reason.WRONG_DIGEST,
        )


def _downloaded(item: Architecture, weights: Any, field: str) -> TorchvisionSource:
    name = _file_name(weights)
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(weights.url, str(path), path.stem.rpartition("-")[2], progress=False)
    except (URLError, OSError, RuntimeError) as error:
        raise invalid(field, f"{weights.url} cannot be fetched ({_brief(error)}); try again") from error
    return TorchvisionSource(f"{item.name} {weights.name}", item.name, transform_of(weights), path)


def _not_found(sources: ModelSources, item: Architecture, wanted: list[Any]) -> str:
    names = " or ".join(_file_name(weights) for weights in wanted)
    root = "the model root" if sources.model_root else "a model root (start the server with --model-root)"
    return (
        f"no weights of {item.name}: put {names}, or weights of your own as {item.name}/NAME.pth, into {root}, "
        "or start the server with --allow-hub to fetch them; use_pretrained: false starts from random weights"
    )


def _file_name(weights: Any) -> str:
    return str(weights.url).rpartition("/")[2]


def _only(folder: Path) -> Path | None:
    """The one file of weights in a folder."""
    found = sorted(path for path in folder.iterdir() if path.suffix in CHECKPOINT_ENDINGS)
    return found[0] if len(found) == 1 else None


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
