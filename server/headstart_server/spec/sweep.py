"""The section of a spec that says which other settings to try."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from headstart_server.spec.section import Section
from headstart_server.spec.values import Word

MOST_TRIALS = 1_000
MOST_SECONDS = 31_536_000
"""A year."""


class SweepParameterSpec(Section):
    """Values of one setting."""

    choices: list[Any] = Field(default_factory=list, max_length=1_000)
    min: float | None = None
    max: float | None = None
    scale: Literal["linear", "log"] | None = None
    integer: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _list_of_choices(cls, value: Any) -> Any:
        """A list is one of choices; a number of the wire that is whole is an integer."""
        if isinstance(value, list):
            value = {"choices": value}
        if isinstance(value, dict) and isinstance(value.get("choices"), list):
            return {**value, "choices": [_whole(item) for item in value["choices"]]}
        return value


class SweepSpec(Section):
    """Trials of the spec with other settings."""

    search: Literal["random", "grid", "tpe"] | None = None
    trials: Annotated[int, Field(ge=1, le=MOST_TRIALS)] | None = None
    seconds: Annotated[float, Field(gt=0, le=MOST_SECONDS)] | None = None
    metric: Word | None = None
    halving: bool | None = None
    parameters: dict[Word, SweepParameterSpec] = Field(default_factory=dict, max_length=100)
    folds: Annotated[int, Field(ge=2, le=20)] | None = None


def _whole(value: Any) -> Any:
    """Google's Value knows floats alone."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    return [_whole(item) for item in value] if isinstance(value, list) else value
