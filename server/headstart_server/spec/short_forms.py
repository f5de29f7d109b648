"""Ludwig's short forms, written out: what people write in YAML that the typed spec says in one way only."""

from typing import Any

_TRUE = [{"type": "random_horizontal_flip"}, {"type": "random_rotate"}]
"""What `augmentation: true` means, as in Ludwig."""
_OWN = ("type", "parameters", "method")


def with_long_forms(values: dict[str, Any]) -> dict[str, Any]:
    """A spec's plain values with every short form written out."""
    features = values.get("input_features")
    if not isinstance(features, list):
        return values
    return {**values, "input_features": [feature_with_long_forms(feature) for feature in features]}


def feature_with_long_forms(feature: Any) -> Any:
    """`augmentation: true | false`, parameters beside an augmentation's type, and variants written as numbers."""
    if not isinstance(feature, dict):
        return feature
    written = dict(feature)
    if isinstance(augmentation := feature.get("augmentation"), bool):
        written["augmentation"] = _TRUE if augmentation else []
    elif isinstance(augmentation, list):
        written["augmentation"] = [_augmentation(item) for item in augmentation]
    encoder = feature.get("encoder")
    if isinstance(encoder, dict) and type(encoder.get("model_variant")) is int:
        written["encoder"] = {**encoder, "model_variant": str(encoder["model_variant"])}
    return written


def _augmentation(item: Any) -> Any:
    if isinstance(item, str):
        return {"type": item}
    if not isinstance(item, dict) or "parameters" in item:
        return item
    beside = {key: value for key, value in item.items() if key not in _OWN and _is_number(value)}
    rest = {key: value for key, value in item.items() if key not in beside}
    return {**rest, "parameters": {key: float(value) for key, value in beside.items()}} if beside else item


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
