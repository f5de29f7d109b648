"""Ludwig's short forms, written out: what people write in YAML that the typed spec says in one way only."""

from typing import Any

from headstart_server.spec.augmentations import AUGMENTATIONS

_TRUE = [{"type": "random_horizontal_flip"}, {"type": "random_rotate"}]
"""What `augmentation: true` means, as in Ludwig."""
_OWN = ("type", "parameters", "method")


def with_long_forms(values: dict[str, Any]) -> dict[str, Any]:
    """A spec's plain values with every short form written out."""
    written = dict(values)
    if isinstance(features := values.get("input_features"), list):
        written["input_features"] = [feature_with_long_forms(feature) for feature in features]
    if isinstance(backend := values.get("backend"), dict) and isinstance(trainer := backend.get("trainer"), dict):
        written["backend"] = {**backend, "trainer": _with_stage(_with_bounds(trainer))}
    if isinstance(defaults := values.get("defaults"), dict):
        written["defaults"] = {kind: _with_variant(settings) for kind, settings in defaults.items()}
    return written


def _with_bounds(trainer: dict[str, Any]) -> dict[str, Any]:
    """`num_workers: {min: 2, max: 8}` as the two numbers that it is."""
    workers = trainer.get("num_workers")
    if not isinstance(workers, dict) or workers.keys() != {"min", "max"} or "min_workers" in trainer:
        return trainer
    return {**trainer, "num_workers": workers["max"], "min_workers": workers["min"]}


def _with_stage(trainer: dict[str, Any]) -> dict[str, Any]:
    """`strategy: {type: deepspeed, zero_optimization: {stage: 3}}` as the name and the number that it is."""
    strategy = trainer.get("strategy")
    if not isinstance(strategy, dict) or not isinstance(kind := strategy.get("type"), str) or "zero_stage" in trainer:
        return trainer
    zero = strategy.get("zero_optimization", {})
    if strategy.keys() - {"type", "zero_optimization"} or not isinstance(zero, dict) or zero.keys() - {"stage"}:
        return trainer
    return {**trainer, "strategy": kind, **({"zero_stage": zero["stage"]} if zero else {})}


def feature_with_long_forms(feature: Any) -> Any:
    """`augmentation: true | false`, parameters beside an augmentation's type, and variants written as numbers."""
    if not isinstance(feature, dict):
        return feature
    written = dict(_with_variant(feature))
    if isinstance(augmentation := feature.get("augmentation"), bool):
        written["augmentation"] = _TRUE if augmentation else []
    elif isinstance(augmentation, list):
        written["augmentation"] = [_augmentation(item) for item in augmentation]
    return written


def _with_variant(settings: Any) -> Any:
    """`model_variant: 50` as the word that it is."""
    encoder = settings.get("encoder") if isinstance(settings, dict) else None
    if isinstance(encoder, dict) and type(encoder.get("model_variant")) is int:
        return {**settings, "encoder": {**encoder, "model_variant": str(encoder["model_variant"])}}
    return settings


def _augmentation(item: Any) -> Any:
    if isinstance(item, str):
        return {"type": item}
    if not isinstance(item, dict) or "parameters" in item:
        return item
    known = AUGMENTATIONS.get(str(item.get("type")), {})
    beside = {
        key: value
        for key, value in item.items()
        if key not in _OWN and (_is_number(value) or (key in known and value not in (None, "auto")))
    }
    rest = {key: value for key, value in item.items() if key not in beside}
    return {**rest, "parameters": beside} if beside else item


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
