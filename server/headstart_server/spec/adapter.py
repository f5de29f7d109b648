"""The section of an encoder that says which small matrices learn in place of its weights."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from headstart_server.spec.section import Section
from headstart_server.spec.values import Probability, Word


class AdapterSpec(Section):
    """A low-rank adapter. Keys and meanings are Ludwig's, and PEFT's."""

    type: Literal["lora"] | None = None
    r: Annotated[int, Field(ge=1, le=1_024)] | None = None
    alpha: Annotated[float, Field(gt=0, le=1e6)] | None = None
    dropout: Probability | None = None
    target_modules: list[Word] = Field(default_factory=list, max_length=100)
    use_dora: bool | None = None
    use_rslora: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _of_type(cls, value: Any) -> Any:
        """Says its type: a section without anything in it would be taken for one that is not there."""
        if isinstance(value, dict) and value.get("type") in (None, "auto"):
            return {**value, "type": "lora"}
        return value
