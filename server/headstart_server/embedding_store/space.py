"""Embedding spaces: everything that can change an embedding's bytes, reduced to one fingerprint."""

from dataclasses import asdict, dataclass
from typing import Any

from headstart_server.core.digests import fingerprint


@dataclass(frozen=True)
class Space:
    """One way to turn a row into an embedding."""

    kind: str
    """`text` or `image`."""
    weights: str
    """Digest of the weight and configuration files."""
    preparation: str
    """Digest of the tokenizer or of the image transform."""
    pooling: str
    max_length: int
    """Length limit in tokens; 0 for images."""
    precision: str
    """Arithmetic of the pass: `fp32`, `bf16` or `fp16`."""
    dimension: int
    """Width of an embedding."""

    @property
    def identifier(self) -> str:
        """The fingerprint: 32 hexadecimal characters."""
        return fingerprint(self.describe())

    @property
    def storage(self) -> str:
        """numpy dtype of stored embeddings; a shard whose values overflow it is stored as float32."""
        return "float32" if self.precision == "fp32" else "float16"

    def describe(self) -> dict[str, str]:
        """What the fingerprint is made of, readable."""
        return {key: str(value) for key, value in asdict(self).items()}

    @classmethod
    def from_description(cls, description: dict[str, str]) -> "Space":
        """The inverse of `describe`."""
        values: dict[str, Any] = {
            **description,
            "max_length": int(description["max_length"]),
            "dimension": int(description["dimension"]),
        }
        return cls(**values)
