"""The tensors of a model: what it reads, column by column, and what it answers."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from headstart_server.data.features.binary import BinaryStatistics
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.features.vector import VectorStatistics
from headstart_server.rpc.inference import grpc_service_pb2 as pb
from headstart_server.rpc.inference.datatypes import BOOL, BYTES, FP32, FP64, Datatype

VERSION = "1"
"""Of every model: one that is trained again has another name."""
PLATFORM, BACKEND = "headstart_bundle", "headstart"
_Features = Iterable[FittedFeature]
_ANY = -1
_CLASSIFIED = ("category", "binary", "set")


@dataclass(frozen=True)
class TensorSpec:
    """An input or output tensor of a model."""

    name: str
    datatype: Datatype
    shape: tuple[int, ...]
    feature: FittedFeature
    optional: bool = False
    """Whether an input may be left out: the spec says what stands in for a missing cell."""
    probabilities: bool = False
    """Whether an output holds the probability of every class."""


def input_specs(inputs: _Features) -> dict[str, TensorSpec]:
    """The input tensors, by name: one per column, however many features read it."""
    found: dict[str, TensorSpec] = {}
    for feature in inputs:
        column, optional = feature.spec.source, feature.optional
        if column in found:
            optional = optional and found[column].optional
            feature = found[column].feature
        datatype = _DATATYPES.get(feature.spec.type, BYTES)
        found[column] = TensorSpec(column, datatype, _shape(feature), feature, optional=optional)
    return found


def output_specs(outputs: _Features) -> dict[str, TensorSpec]:
    """The output tensors, by name: values of each feature, and probabilities of those that have classes."""
    features = list(outputs)
    found = {item.name: TensorSpec(item.name, _answered_datatype(item), _shape(item), item) for item in features}
    for item in features:
        name, shape = f"{item.name}.probabilities", (_ANY, len(item.classes))
        # a feature of that very name keeps it
        if item.spec.type in _CLASSIFIED and name not in found:
            found[name] = TensorSpec(name, FP32, shape, item, probabilities=True)
    return found


def metadata_message(name: str, inputs: _Features, outputs: _Features) -> pb.ModelMetadataResponse:
    """What ModelMetadata answers."""
    message = pb.ModelMetadataResponse(name=name, versions=[VERSION], platform=PLATFORM)
    for field, specs in ((message.inputs, input_specs(inputs)), (message.outputs, output_specs(outputs))):
        for spec in specs.values():
            field.add(name=spec.name, datatype=spec.datatype.name, shape=spec.shape)
    return message


def config_message(name: str, inputs: _Features, outputs: _Features) -> pb.ModelConfig:
    """What ModelConfig answers."""
    message = pb.ModelConfig(name=name, platform=PLATFORM, backend=BACKEND)
    for spec in input_specs(inputs).values():
        message.input.add(name=spec.name, data_type=spec.datatype.config, dims=spec.shape, optional=spec.optional)
    for spec in output_specs(outputs).values():
        message.output.add(name=spec.name, data_type=spec.datatype.config, dims=spec.shape)
        if spec.probabilities:
            labels = json.dumps(spec.feature.classes, ensure_ascii=False)
            message.parameters[f"{spec.feature.name}.classes"].string_value = labels
    return message


_DATATYPES: Mapping[str, Datatype] = {"number": FP64, "binary": BOOL, "vector": FP32}
"""Of inputs by their feature's type; all others are BYTES."""


def _answered_datatype(feature: FittedFeature) -> Datatype:
    if isinstance(feature.statistics, BinaryStatistics):
        return BOOL if feature.statistics.truth_values else BYTES
    return _DATATYPES.get(feature.spec.type, BYTES)


def _shape(feature: FittedFeature) -> tuple[int, ...]:
    if isinstance(feature.statistics, VectorStatistics):
        return _ANY, feature.statistics.size
    return (_ANY,)
