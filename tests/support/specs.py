"""Specs as dictionaries: a minimal one, and changes of it."""

from typing import Any

import pytest
from headstart_server.core.errors import InvalidInputError, Violation
from headstart_server.spec.parse import parse_values

MINIMAL: dict[str, Any] = {
    "input_features": [{"name": "review", "type": "text"}],
    "output_features": [{"name": "label", "type": "category"}],
}


def spec_with(**changes: Any) -> dict[str, Any]:
    """The minimal spec with other sections."""
    return {**MINIMAL, **changes}


def spec_input(**changes: Any) -> dict[str, Any]:
    """The minimal spec with another input."""
    return spec_with(input_features=[{"name": "review", "type": "text", **changes}])


def spec_output(**changes: Any) -> dict[str, Any]:
    """The minimal spec with another output."""
    return spec_with(output_features=[{"name": "label", "type": "category", **changes}])


def violations_of(values: dict[str, Any]) -> list[Violation]:
    """What is wrong with a spec that is refused."""
    with pytest.raises(InvalidInputError) as caught:
        parse_values(values)
    return caught.value.violations
