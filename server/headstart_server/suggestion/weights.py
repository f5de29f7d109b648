"""Which of the encoders on hand reads a column."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from headstart_server.core.errors import InvalidInputError
from headstart_server.encoders.catalog import AUTO_TRANSFORMER, DEFAULT_TYPES, encoder_types
from headstart_server.encoders.sources import ModelSources
from headstart_server.planning.inputs import plan_pretrained
from headstart_server.planning.resolution import Resolution
from headstart_server.spec.model import FeatureSpec, TrainSpec
from headstart_server.spec.parse import parse_feature

_MADE_FOR_SENTENCES = ("1_Pooling", "modules.json", "sentence_bert_config.json")
"""Files of sentence-transformers: encoders whose mean of tokens was trained to be compared."""


@dataclass(frozen=True)
class Weights:
    """An encoder that can be used here."""

    encoder: dict[str, Any]
    """The section of the spec."""
    evidence: str


def text_weights(sources: ModelSources, device_type: str) -> Weights | None:
    """The encoder for texts: one trained for sentences before others, the smallest of each kind; None for none."""
    found = []
    for name in sources.transformers_on_hand():
        encoder = {"type": AUTO_TRANSFORMER, "pretrained_model_name_or_path": name, "trainable": False}
        if _usable("text", encoder, sources, device_type):
            source = sources.find(name, None, "encoder")
            sentences = "sentence-transformers/" in name or any(
                (source.folder / it).exists() for it in _MADE_FOR_SENTENCES
            )
            found.append((not sentences, source.size_bytes, name, encoder))
    if not found:
        return None
    other, size, name, encoder = min(found, key=lambda item: item[:3])
    why = "the smallest on hand" if other else "the smallest on hand that was trained for sentences"
    return Weights(encoder, f"{name}: {why if len(found) > 1 else 'on hand'}, {size / 1e6:,.0f} MB, frozen")


def image_weights(sources: ModelSources, device_type: str) -> Weights | None:
    """The encoder for images: the default family's recommended weights, a file of weights, or a vision transformer."""
    for encoder in _image_encoders(sources):
        if _usable("image", encoder, sources, device_type):
            name = encoder.get("pretrained_model_name_or_path", "recommended weights")
            return Weights(encoder, f"{encoder['type']}, {name}: on hand, frozen")
    return None


def _image_encoders(sources: ModelSources) -> Iterator[dict[str, Any]]:
    yield {"type": DEFAULT_TYPES["image"], "trainable": False}
    transformers = sources.transformers_on_hand()
    families = [item.name for item in encoder_types() if item.variants]
    for name in sources.on_hand():
        if name in transformers:
            continue
        plain = name.lower().replace("_", "").replace("-", "")
        for family in sorted((family for family in families if family in plain), key=len, reverse=True):
            yield {"type": family, "pretrained_model_name_or_path": name, "trainable": False}
    for name in transformers:
        yield {"type": AUTO_TRANSFORMER, "pretrained_model_name_or_path": name, "trainable": False}


def _usable(kind: str, encoder: dict[str, Any], sources: ModelSources, device_type: str) -> bool:
    """Whether a job could read a column with it."""
    try:
        feature: FeatureSpec = parse_feature({"name": "column", "type": kind, "encoder": encoder}, "feature")
        resolution = Resolution.of(TrainSpec(input_features=[feature]))
        plan_pretrained(feature, "feature", sources, resolution, device_type, seed=0)
    except InvalidInputError:
        return False
    return True
