"""Artifacts on disk: gone at once when deleted, never told of by half."""

from __future__ import annotations

from pathlib import Path

import pytest
from headstart_server.core.errors import NotFoundError, OutOfRangeError
from headstart_server.export.artifacts import ArtifactRegistry
from headstart_server.storage.folders import SharedFolders

from tests.support.artifacts import CONTENT, publish


@pytest.fixture
def registry(tmp_path: Path) -> ArtifactRegistry:
    return ArtifactRegistry(SharedFolders(tmp_path / "artifacts"))


def test_an_artifact_deleted_while_others_are_listed_is_left_out(registry: ArtifactRegistry) -> None:
    older, newer = publish(registry), publish(registry)
    listing = registry.all()
    assert next(listing) == newer
    registry.delete(older.identifier)
    assert list(listing) == []
    with pytest.raises(NotFoundError):
        registry.delete(older.identifier)


def test_files_outside_an_artifact_are_not_found(registry: ArtifactRegistry) -> None:
    artifact = publish(registry)
    for path in ("../" + artifact.identifier + "/model.onnx", ".artifact.json", "/etc/passwd", ""):
        with pytest.raises(NotFoundError, match=r"it has model\.onnx"):
            registry.file(artifact.identifier, path, 0)


def test_an_offset_past_the_end_is_out_of_range(registry: ArtifactRegistry) -> None:
    identifier = publish(registry).identifier
    assert registry.file(identifier, "model.onnx", len(CONTENT))[1].size_bytes == len(CONTENT)
    with pytest.raises(OutOfRangeError, match=f"offset {len(CONTENT) + 1} is outside"):
        registry.file(identifier, "model.onnx", len(CONTENT) + 1)
