"""Artifacts on disk: gone at once when deleted, never told of by half."""

from __future__ import annotations

from pathlib import Path

import pytest
from headstart_server.core.errors import DataLossError, NotFoundError, OutOfRangeError
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


def test_a_damaged_description_hides_its_artifact_alone(registry: ArtifactRegistry) -> None:
    damaged, sound = publish(registry), publish(registry)
    path = registry.folders.path(damaged.identifier) / ".artifact.json"
    for text in ("{", "[]", "{}", path.read_text().replace('"max_difference": 0.0', '"max_difference": 0.5')):
        path.write_text(text)
        assert list(registry.all()) == [sound]
        with pytest.raises(DataLossError, match=rf"artifacts/{damaged.identifier} is damaged: .*export again"):
            registry.get(damaged.identifier)
    path.unlink()
    with pytest.raises(DataLossError):
        registry.get(damaged.identifier)
    registry.delete(damaged.identifier)
    with pytest.raises(NotFoundError):
        registry.get(damaged.identifier)


@pytest.mark.parametrize("content", [CONTENT[:-1], b"\1" + CONTENT[1:], None])
def test_a_damaged_file_is_neither_sent_nor_found_for_the_next_export(
    content: bytes | None, registry: ArtifactRegistry
) -> None:
    artifact = publish(registry)
    path = registry.folders.path(artifact.identifier) / "model.onnx"
    assert registry.find("m", "onnx", head_only=False) == artifact
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataLossError, match=r"model\.onnx is not what was exported; delete it and export again"):
        registry.file(artifact.identifier, "model.onnx", 0)
    assert registry.find("m", "onnx", head_only=False) is None
