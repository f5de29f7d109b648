"""The typed spec and its wire form are the same spec, field by field."""

from __future__ import annotations

import types
import typing
from typing import Any

import pytest
from google.protobuf import struct_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from headstart.v1 import spec_pb2
from headstart_server.core.errors import InvalidInputError
from headstart_server.rpc.messages import spec_message, spec_values
from headstart_server.spec import adapter, model, sweep, training_sections
from headstart_server.spec.parse import parse_values
from headstart_server.spec.section import Section

PAIRS: dict[str, tuple[type[Section], Any]] = {
    message.name: (twin, message)
    for twin, message in (
        (model.TrainSpec, spec_pb2.TrainSpec.DESCRIPTOR),
        (model.FeatureSpec, spec_pb2.Feature.DESCRIPTOR),
        (model.FeatureDefaultsSpec, spec_pb2.FeatureDefaults.DESCRIPTOR),
        (model.FcLayerSpec, spec_pb2.FcLayer.DESCRIPTOR),
        (model.EncoderSpec, spec_pb2.Encoder.DESCRIPTOR),
        (adapter.AdapterSpec, spec_pb2.Adapter.DESCRIPTOR),
        (model.PreprocessingSpec, spec_pb2.Preprocessing.DESCRIPTOR),
        (model.DecoderSpec, spec_pb2.Decoder.DESCRIPTOR),
        (model.LossSpec, spec_pb2.Loss.DESCRIPTOR),
        (model.AugmentationSpec, spec_pb2.Augmentation.DESCRIPTOR),
        (model.CombinerSpec, spec_pb2.Combiner.DESCRIPTOR),
        (training_sections.TrainerSpec, spec_pb2.Trainer.DESCRIPTOR),
        (sweep.SweepSpec, spec_pb2.Sweep.DESCRIPTOR),
        (sweep.SweepParameterSpec, spec_pb2.SweepParameter.DESCRIPTOR),
        (training_sections.BoostingSpec, spec_pb2.Boosting.DESCRIPTOR),
        (training_sections.LearningRateSchedulerSpec, spec_pb2.LearningRateScheduler.DESCRIPTOR),
        (training_sections.OptimizerSpec, spec_pb2.Optimizer.DESCRIPTOR),
        (training_sections.GradientClippingSpec, spec_pb2.GradientClipping.DESCRIPTOR),
        (training_sections.BackendSpec, spec_pb2.Backend.DESCRIPTOR),
        (training_sections.BackendTrainerSpec, spec_pb2.BackendTrainer.DESCRIPTOR),
        (model.GlobalPreprocessingSpec, spec_pb2.GlobalPreprocessing.DESCRIPTOR),
        (model.SplitSpec, spec_pb2.Split.DESCRIPTOR),
    )
}
TWINS: dict[Any, Any] = dict(PAIRS.values()) | {Any: struct_pb2.Value.DESCRIPTOR}
SCALARS = {
    FieldDescriptor.CPPTYPE_STRING: str,
    FieldDescriptor.CPPTYPE_BOOL: bool,
    FieldDescriptor.CPPTYPE_INT32: int,
    FieldDescriptor.CPPTYPE_INT64: int,
    FieldDescriptor.CPPTYPE_DOUBLE: float,
}


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _wire_type(field: FieldDescriptor) -> Any:
    """(shape, type): shape is `one`, `list` or `map`."""
    if field.message_type is not None and _is_map(field):
        key, value = field.message_type.fields
        assert SCALARS[key.cpp_type] is str
        return "map", value.message_type or SCALARS[value.cpp_type]
    return "list" if field.is_repeated else "one", field.message_type or SCALARS[field.cpp_type]


def _plain(annotation: Any) -> Any:
    """The type itself, without `Annotated`, `| None` or the words of a `Literal`."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _plain(typing.get_args(annotation)[0])
    if origin is typing.Literal:
        [kind] = {type(word) for word in typing.get_args(annotation)}
        return kind
    if origin in (typing.Union, types.UnionType):
        [kind] = [_plain(item) for item in typing.get_args(annotation) if item is not type(None)]
        return kind
    return TWINS.get(annotation, annotation)


def _domain_type(annotation: Any) -> Any:
    origin = typing.get_origin(annotation)
    if origin is list:
        return "list", _plain(typing.get_args(annotation)[0])
    if origin is dict:
        key, value = typing.get_args(annotation)
        assert _plain(key) is str
        return "map", _plain(value)
    return "one", _plain(annotation)


def test_every_message_has_a_twin_and_every_twin_a_message() -> None:
    assert set(PAIRS) == set(spec_pb2.DESCRIPTOR.message_types_by_name)
    assert set(TWINS) - {Any} == set(Section.__subclasses__())


@pytest.mark.parametrize("name", PAIRS)
def test_the_fields_are_the_same_in_the_same_order(name: str) -> None:
    twin, message = PAIRS[name]
    assert list(twin.model_fields) == [field.name for field in message.fields]


@pytest.mark.parametrize("name", PAIRS)
def test_the_types_are_the_same(name: str) -> None:
    twin, message = PAIRS[name]
    hints = typing.get_type_hints(twin, include_extras=True)
    for field in message.fields:
        assert _domain_type(hints[field.name]) == _wire_type(field), field.name


@pytest.mark.parametrize("name", PAIRS)
def test_unset_can_be_told_from_zero_in_both(name: str) -> None:
    twin, message = PAIRS[name]
    for field in message.fields:
        default = twin.model_fields[field.name].get_default(call_default_factory=True)
        if field.is_repeated:
            assert default in ([], {}), field.name
        elif field.message_type is not None:
            assert default == type(default)(), field.name
        elif field.has_presence:
            assert default is None, field.name
        else:
            assert default == field.default_value, field.name


def _sample(message: Any, depth: int = 0) -> dict[str, Any]:
    """A value for every field, of the wire's types."""
    values: dict[str, Any] = {}
    for field in message.fields:
        shape, kind = _wire_type(field)
        if kind is struct_pb2.Value.DESCRIPTOR:
            one: Any = {"any": ["x", 0.5]}
        elif isinstance(kind, Descriptor):
            one = _sample(kind, depth + 1)
        else:
            one = {str: "x", bool: True, int: 7, float: 0.5}[kind]
        values[field.name] = {"one": one, "list": [one, one], "map": {"k": one}}[shape]
    return values


def test_a_full_message_survives_the_way_to_plain_values_and_back() -> None:
    values = _sample(spec_pb2.TrainSpec.DESCRIPTOR)
    assert spec_values(spec_message(values)) == values


def test_a_parsed_spec_is_the_same_after_the_wire() -> None:
    spec = parse_values(
        {
            "input_features": [{"name": "a", "type": "text", "encoder": {"trainable": False, "dropout": 0.0}}],
            "output_features": [{"name": "y", "type": "category", "loss": {"class_weights": {"p": 2}}}],
            "trainer": {"epochs": 5, "early_stop": 0, "learning_rate": 1, "random_seed": 2**62},
            "defaults": {"text": {"preprocessing": {"max_sequence_length": 64}}},
        }
    )
    message = spec_message(spec.compact())
    assert message.input_features[0].encoder.HasField("dropout")
    assert message.trainer.HasField("early_stop")
    assert parse_values(spec_values(message)) == spec
    assert parse_values(spec_values(spec_pb2.TrainSpec.FromString(message.SerializeToString()))) == spec


def test_a_choice_that_is_no_finite_number_is_refused_by_name() -> None:
    message = spec_pb2.TrainSpec()
    message.sweep.parameters["trainer.learning_rate"].choices.add().number_value = float("nan")
    with pytest.raises(InvalidInputError, match="spec: holds a value that is not a finite number"):
        spec_values(message)
