"""Image files as rows: one image, or every image below a folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.errors import InvalidArgument
from headstart.files.endings import IMAGES, files_below, is_image
from headstart.values.image_bytes import sendable


@dataclass(frozen=True)
class ImageFile:
    """One image and what it is called in the output: its path below the folder that was given."""

    name: str
    path: Path


def is_images(path: Path) -> bool:
    """Tell whether a path is an image or a folder, and not a table."""
    return path.is_dir() or is_image(path.name)


def image_files(path: Path) -> list[ImageFile]:
    """Return an image, or the images below a folder, sorted.

    Raises:
        InvalidArgument: a folder without images.
    """
    if not path.is_dir():
        return [ImageFile(str(path), path)]
    found = [file for file in files_below(path) if is_image(file.name)]
    if not found:
        raise InvalidArgument(f"{path} holds no images ({', '.join(IMAGES)}); name another folder")
    return [ImageFile(file.relative_to(path).as_posix(), file) for file in found]


def image_rows(files: list[ImageFile], column: str) -> Iterator[dict[str, Any]]:
    """Yield one row per image; raises InvalidArgument where one does not fit a message."""
    for file in files:
        yield {column: sendable(file.path)}
