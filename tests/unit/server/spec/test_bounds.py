"""A model far larger than any machine is refused by its spec, not by the machine's memory."""

from __future__ import annotations

import re
from typing import Any

import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.spec.parse import parse_values


def spec(section: str, **values: int) -> dict[str, Any]:
    """A small spec with some values in one section."""
    whole: dict[str, Any] = {
        "input_features": [{"name": "x", "type": "vector", "encoder": {"type": "dense"}}],
        "output_features": [{"name": "y", "type": "category", "decoder": {}}],
        "combiner": {"num_fc_layers": 1},
    }
    parts = {
        "combiner": whole["combiner"],
        "output_features[0].decoder": whole["output_features"][0]["decoder"],
        "input_features[0].encoder": whole["input_features"][0]["encoder"],
    }
    if section == "output_features[0].decoder":
        parts[section]["num_fc_layers"] = 1
    parts[section].update(values)
    return whole


@pytest.mark.parametrize(
    ("section", "key", "most"),
    [
        ("combiner", "output_size", 16_384),
        ("combiner", "num_fc_layers", 64),
        ("output_features[0].decoder", "output_size", 16_384),
        ("output_features[0].decoder", "num_fc_layers", 64),
        ("input_features[0].encoder", "output_size", 16_384),
        ("input_features[0].encoder", "num_layers", 64),
        ("input_features[0].encoder", "embedding_size", 16_384),
    ],
)
def test_a_size_above_its_limit_is_refused_with_the_limit(section: str, key: str, most: int) -> None:
    if key != "embedding_size":
        parse_values(spec(section, **{key: most}))
    said = f"{section}.{key}: {most + 1}: input should be less than or equal to {most}"
    with pytest.raises(InvalidInputError, match=re.escape(said)):
        parse_values(spec(section, **{key: most + 1}))
