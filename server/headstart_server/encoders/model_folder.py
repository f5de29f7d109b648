"""What a model's folder must be before anything of it is read: whole, real files, weights of its own."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headstart_server.core.errors import invalid

INDEX = ".safetensors.index.json"
_WHOLE = "model.safetensors"
_LFS = b"version https://git-lfs.github.com/spec/"
_LARGEST_POINTER = 1_024


def require_whole_folder(folder: Path, files: Mapping[str, Path], name: str, field: str) -> None:
    """Raises InvalidInputError naming `field` for pointers in place of files, and for weights that lie elsewhere."""
    for file_name, path in sorted(files.items()):
        require_fetched(path, f"{name[:120]!r}: {file_name}", field)
    for file_name, path in sorted(files.items()):
        if file_name.endswith(INDEX):
            _require_shards(folder, file_name, _named(path, name, field), name, field)


def require_fetched(path: Path, name: str, field: str) -> None:
    """Raises InvalidInputError naming `field` for a pointer of Git LFS in place of a file."""
    if is_pointer(path):
        raise invalid(field, f"{name[:240]} is a pointer of Git LFS, not the file itself; run git lfs pull there")


def is_pointer(path: Path) -> bool:
    """Whether a file is what Git LFS leaves in place of one that was not fetched.

    Format: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
    """
    if path.stat().st_size > _LARGEST_POINTER:
        return False
    with path.open("rb") as file:
        return file.read(len(_LFS)) == _LFS


def _named(path: Path, name: str, field: str) -> list[Any]:
    """Files that an index says hold the weights."""
    try:
        found = list(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise invalid(field, f"{name[:120]!r}: {path.name} is no index of weights") from error
    return found


def _require_shards(folder: Path, index: str, named: list[Any], name: str, field: str) -> None:
    """Only files beside the index are covered by the digest that pins the weights."""
    for shard in named:
        if not isinstance(shard, str) or Path(shard).name != shard or not shard.endswith(".safetensors"):
            raise invalid(
                field,
                f"{name[:120]!r}: {index} names {str(shard)[:120]!r}; weights must be *.safetensors files beside it",
            )
    missing = sorted({shard for shard in named if not _is_file(folder / shard)})
    if missing and not (folder / _WHOLE).is_file():
        raise invalid(
            field,
            f"{name[:120]!r} lacks {len(missing)} of the files that {index} names ({', '.join(missing[:3])[:200]}); "
            "copy them there",
        )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
