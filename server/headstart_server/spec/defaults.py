"""Merges the `defaults` section into the features: a feature's own settings win."""

from headstart_server.spec.model import FeatureDefaultsSpec, FeatureSpec, TrainSpec
from headstart_server.spec.section import Section


def apply_defaults(spec: TrainSpec) -> TrainSpec:
    """The spec with every feature's settings complete and no `defaults`."""
    return spec.model_copy(
        update={
            "input_features": [_merge(feature, spec, ("encoder", "preprocessing")) for feature in spec.input_features],
            "output_features": [
                _merge(feature, spec, ("preprocessing", "decoder", "loss")) for feature in spec.output_features
            ],
            "defaults": {},
        }
    )


def _merge(feature: FeatureSpec, spec: TrainSpec, sections: tuple[str, ...]) -> FeatureSpec:
    defaults = spec.defaults.get(feature.type, FeatureDefaultsSpec())
    return feature.model_copy(
        update={name: _overlay(getattr(defaults, name), getattr(feature, name)) for name in sections}
    )


def _overlay(below: Section, above: Section) -> Section:
    given = {name: getattr(above, name) for name in type(above).model_fields}
    own = {name: value for name, value in given.items() if value not in (None, {}, [])}
    if own.keys() & {"num_fc_layers", "num_layers"}:  # layers of one's own, instead of the list
        own.setdefault("fc_layers", [])
    elif "fc_layers" in own:
        # and a list of one's own, instead of the number
        own |= {name: None for name in ("num_fc_layers", "num_layers") if name in given}
    for name, value in own.items():
        default = getattr(below, name)
        if isinstance(value, Section) and isinstance(default, Section):
            own[name] = _overlay(default, value)
    return below.model_copy(update=own)
