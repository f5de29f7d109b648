"""What a job learned from, as arrays for those who learn from the same by hand."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import headstart
import numpy as np
import numpy.typing as npt
from headstart.v1.spec_pb2 import Feature

_EMBED_ROWS = 100


def as_stored(client: headstart.Client, inputs: Iterable[Feature], model: str) -> list[Feature]:
    """A spec's inputs in the arithmetic in which the job of a model stored them, so that nothing is encoded again."""
    resolved = {item.path: item.value for item in client.jobs.get(client.models.get(model).job).resolved_values}
    features = []
    for index, feature in enumerate(inputs):
        copy = Feature()
        copy.CopyFrom(feature)
        if feature.type in ("text", "image"):
            path = f"input_features[{index}].preprocessing.embedding_precision"
            copy.preprocessing.embedding_precision = resolved[path].string_value
        features.append(copy)
    return features


def embeddings(
    client: headstart.Client, feature: Feature, folder: Path, texts: Sequence[str]
) -> npt.NDArray[np.float32]:
    """Of a column's cells [n, d], as the server stores them; images are files below `folder`."""
    cells: list[Any] = [(folder / cell).read_bytes() for cell in texts] if feature.type == "image" else list(texts)
    found = [client.embed(feature, cells[start : start + _EMBED_ROWS]) for start in range(0, len(cells), _EMBED_ROWS)]
    return np.concatenate([np.frombuffer(part.flat, np.float32).reshape(-1, part.dimension) for part in found])
