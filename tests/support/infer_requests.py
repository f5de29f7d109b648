"""Inference requests of the Open Inference Protocol for tests, and what the answers hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.rpc.inference import grpc_service_pb2 as pb
from headstart_server.rpc.inference.datatypes import BYTES, DATATYPES
from headstart_server.rpc.inference.tensors import Elements, raw_elements, raw_of
from headstart_server.spec.model import FeatureSpec

from tests.support.tables import fitted


def named(name: str, values: list[Any], kind: str, *, output: bool = False, **preprocessing: Any) -> FittedFeature:
    """A feature of this name, fitted on values."""
    feature = fitted(values, kind, output=output, **preprocessing)
    spec = FeatureSpec.model_validate({"name": name, "type": kind, "preprocessing": preprocessing})
    return FittedFeature(spec, feature.statistics, output)


def add_input(
    request: pb.ModelInferRequest, name: str, datatype: str, values: Any, shape: Sequence[int] | None = None
) -> None:
    """Adds an input as raw bytes: texts or bytes of BYTES, else anything that NumPy takes."""
    if datatype == BYTES.name:
        elements: Elements = [value if isinstance(value, bytes) else value.encode() for value in values]
        given = [len(elements)]
    else:
        elements = np.asarray(values)
        given = list(elements.shape)
    request.inputs.add(name=name, datatype=datatype, shape=given if shape is None else shape)
    request.raw_input_contents.append(raw_of(elements, DATATYPES[datatype]))


def infer_request(model: str = "m1", **inputs: tuple[str, Any]) -> pb.ModelInferRequest:
    """A request with these inputs: datatype and values by name."""
    request = pb.ModelInferRequest(model_name=model)
    for name, (datatype, values) in inputs.items():
        add_input(request, name, datatype, values)
    return request


def answered(response: pb.ModelInferResponse) -> dict[str, Any]:
    """The outputs by name, as lists in their shapes."""
    found: dict[str, Any] = {}
    for output, raw in zip(response.outputs, response.raw_output_contents, strict=True):
        elements = raw_elements(raw, DATATYPES[output.datatype], output.shape, output.name)
        values: Any = [item.decode() for item in elements] if isinstance(elements, list) else elements
        found[output.name] = np.array(values).reshape(tuple(output.shape)).tolist()
    return found
