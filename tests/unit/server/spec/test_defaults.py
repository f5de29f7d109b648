"""`defaults` apply to every feature of a type; a feature's own settings win, `false` and 0 included."""

from typing import Any

from headstart_server.spec.defaults import apply_defaults
from headstart_server.spec.parse import parse_values


def _merged(feature: dict[str, Any], defaults: dict[str, Any]) -> Any:
    values = {
        "input_features": [{"name": "a", "type": "text", **feature}, {"name": "n", "type": "number"}],
        "output_features": [{"name": "y", "type": "category"}],
        "defaults": defaults,
    }
    return apply_defaults(parse_values(values))


def test_a_default_reaches_features_of_its_type_only() -> None:
    merged = _merged({}, {"text": {"encoder": {"type": "bert", "reduce_output": "max"}}})
    assert merged.input_features[0].encoder.type == "bert"
    assert merged.input_features[0].encoder.reduce_output == "max"
    assert merged.input_features[1].encoder.type is None


def test_a_features_own_settings_win_one_by_one() -> None:
    merged = _merged(
        {"encoder": {"trainable": False, "reduce_output": "cls"}},
        {"text": {"encoder": {"type": "bert", "trainable": True, "reduce_output": "max"}}},
    )
    encoder = merged.input_features[0].encoder
    assert (encoder.type, encoder.trainable, encoder.reduce_output) == ("bert", False, "cls")


def test_sections_within_are_merged_key_by_key() -> None:
    merged = _merged({"encoder": {"adapter": {"r": 4}}}, {"text": {"encoder": {"adapter": {"alpha": 64.0, "r": 2}}}})
    adapter = merged.input_features[0].encoder.adapter
    assert (adapter.type, adapter.r, adapter.alpha) == ("lora", 4, 64.0)


def test_outputs_take_decoder_and_loss() -> None:
    merged = _merged({}, {"category": {"decoder": {"num_fc_layers": 2}, "loss": {"class_weights": {"a": 2.0}}}})
    assert merged.output_features[0].decoder.num_fc_layers == 2
    assert merged.output_features[0].loss.class_weights == {"a": 2.0}


def test_nothing_is_left_of_the_section_afterwards() -> None:
    merged = _merged({}, {"text": {"encoder": {"type": "bert"}}})
    assert merged.defaults == {}
    assert apply_defaults(merged) == merged
