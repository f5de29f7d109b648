"""What every section of a spec has in common."""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator


class Section(BaseModel):
    """Base of every part of a spec: strict types, no unknown keys, immutable, `auto` reads as None."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    verbatim: ClassVar[frozenset[str]] = frozenset()
    """Fields that hold the data's own words, where `auto` is a word like any other (a column of cars)."""

    @model_validator(mode="before")
    @classmethod
    def _drop_auto(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: item for key, item in value.items() if item is not None and (item != "auto" or key in cls.verbatim)
            }
        return value
