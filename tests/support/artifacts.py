"""Small artifacts, published without a model."""

from __future__ import annotations

import hashlib

from headstart_server.core.names import new_id
from headstart_server.export.artifacts import Artifact, ArtifactFile, ArtifactRegistry

CONTENT = bytes(range(256)) * (3 << 12)  # three chunks


def publish(registry: ArtifactRegistry, model: str = "m") -> Artifact:
    """An artifact with one file."""
    identifier = new_id()
    file = ArtifactFile("model.onnx", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    artifact = Artifact(identifier, model, "onnx", False, "2026-11-01T00:00:00+00:00", [file], 0.0)
    with registry.publish(identifier) as folder:
        (folder / "model.onnx").write_bytes(CONTENT)
        registry.describe(folder, artifact)
    return artifact
