"""Fully connected layers as a spec gives them: so many alike, or a list of which each may differ."""

from collections.abc import Iterator

from headstart_server.core.errors import Violation
from headstart_server.spec.model import CombinerSpec, DecoderSpec, EncoderSpec, FcLayerSpec, TrainSpec

_WIDTH = 256


def fc_layers(spec: CombinerSpec | DecoderSpec) -> list[FcLayerSpec]:
    """The layers of a combiner or decoder, each complete."""
    shared = FcLayerSpec(
        output_size=spec.output_size or _WIDTH,
        dropout=spec.dropout or 0.0,
        norm=spec.norm or "none",
        activation=spec.activation or "relu",
    )
    return [_complete(layer, shared) for layer in spec.fc_layers] or [shared] * (spec.num_fc_layers or 0)


def dense_layers(spec: EncoderSpec, width: int) -> list[FcLayerSpec]:
    """The layers of a dense encoder, each complete: one where nothing is said, of the given width."""
    shared = FcLayerSpec(
        output_size=spec.output_size or width,
        dropout=spec.dropout or 0.0,
        norm="none",
        activation=spec.activation or "relu",
    )
    count = spec.num_layers if spec.num_layers is not None else 1
    return [_complete(layer, shared) for layer in spec.fc_layers] or [shared] * count


def _complete(layer: FcLayerSpec, shared: FcLayerSpec) -> FcLayerSpec:
    given = {name: value for name, value in layer if value is not None}
    return shared.model_copy(update=given)


def layer_rules(spec: TrainSpec) -> Iterator[Violation]:
    """Lists of layers beside their number, and norms where layers have none."""
    for path, section in _sections(spec):
        key = "num_layers" if isinstance(section, EncoderSpec) else "num_fc_layers"
        count = getattr(section, key)
        if section.fc_layers and count is not None and count != len(section.fc_layers):
            yield Violation(f"{path}.{key}", f"{count}, but fc_layers lists {len(section.fc_layers)}; keep one of them")
        for index, layer in enumerate(section.fc_layers):
            if isinstance(section, EncoderSpec) and layer.norm not in (None, "none"):
                yield Violation(
                    f"{path}.fc_layers[{index}].norm", f"{layer.norm!r}: dense encoders have none; set combiner.norm"
                )


def _sections(spec: TrainSpec) -> Iterator[tuple[str, CombinerSpec | DecoderSpec | EncoderSpec]]:
    for index, feature in enumerate(spec.input_features):
        yield f"input_features[{index}].encoder", feature.encoder
    for index, feature in enumerate(spec.output_features):
        yield f"output_features[{index}].decoder", feature.decoder
    for kind, defaults in spec.defaults.items():
        yield f"defaults.{kind}.encoder", defaults.encoder
        yield f"defaults.{kind}.decoder", defaults.decoder
    yield "combiner", spec.combiner
