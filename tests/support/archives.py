"""Zip and tar archives made in memory, and what opening them says."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.data.archives import Archive, open_archive
from headstart_server.data.images.decode import ImageLimits

FILES = {"b/two.png": b"two" * 1_000, "a/one.png": b"one", "labels.csv": b"image,label\n"}
LIMITS = ImageLimits()


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def tarred(files: dict[str, bytes], mode: str = "w", **options: int) -> bytes:
    out = io.BytesIO()
    opened: Callable[..., tarfile.TarFile] = tarfile.open
    with opened(fileobj=out, mode=mode, **options) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def tar_with(member: tarfile.TarInfo, data: bytes = b"") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def opened(folder: Path, data: bytes, kind: str) -> Archive:
    path = folder / f"data.{kind}"
    path.write_bytes(data)
    return open_archive(path, kind.rpartition(".")[2], folder / "cache", "dataset")


def refusal(folder: Path, data: bytes, kind: str) -> str:
    with pytest.raises(InvalidInputError) as caught:
        opened(folder, data, kind)
    assert caught.value.field == "dataset"
    assert str(folder) not in str(caught.value)
    return str(caught.value)
