"""Read a Feature from a dict, in the shape that it has in a spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from google.protobuf import json_format

from headstart.errors import InvalidArgument
from headstart.v1.spec_pb2 import Feature

FeatureLike: TypeAlias = Feature | Mapping[str, Any]


def feature_of(feature: FeatureLike) -> Feature:
    """Return the Feature.

    Raises:
        InvalidArgument: an unknown key or a value of the wrong type, naming it.
    """
    if isinstance(feature, Feature):
        return feature
    try:
        return json_format.ParseDict(dict(feature), Feature())
    except json_format.ParseError as error:
        raise InvalidArgument(f"not a feature: {error}", reason="BAD_SPEC") from None
