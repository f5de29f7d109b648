"""Which columns of a table hold images, as far as a spec tells, so that the files that they name can go with it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from headstart.v1.spec_pb2 import TrainSpec
from headstart.v1.training_pb2 import TrainJobRequest

LENIENT = ("drop", "default")
_LENIENT_TEXT = re.compile(r"bad_image_policy['\"]?\s*:\s*['\"]?(drop|default)\b")


@dataclass(frozen=True)
class ImageColumns:
    """The columns of image inputs.

    A dict, a TrainSpec and JSON say them. YAML text is not parsed, since the client has no YAML library: there, every
    column that the text names may be one, and it is one where most of its cells name files that exist, or those that do
    not all look like images' names (`certain` is false, and `files.named_images` decides).

    Attributes:
        columns: each column, with whether files that are missing are left to the spec's `bad_image_policy`.
        text: the YAML text in which columns are looked for, where nothing better is known.
        certain: whether `columns` are all there is.
        every: whether any column may be one, whatever its name, as there is no spec.
    """

    columns: Mapping[str, bool] = field(default_factory=dict)
    text: str = ""
    certain: bool = True
    every: bool = False

    @classmethod
    def unknown(cls) -> ImageColumns:
        """Return what is known without a spec: a column holds images where its cells name files that exist."""
        return cls(certain=False, every=True)

    @property
    def may_exist(self) -> bool:
        """Whether any column may hold images."""
        return bool(self.columns) or not self.certain

    def among(self, names: Iterable[str]) -> list[str]:
        """Return those of a table's columns that hold images, or may do so."""
        return [
            name for name in names if name in self.columns or self.every or (not self.certain and name in self.text)
        ]

    def is_lenient(self, column: str) -> bool:
        """Tell whether a missing file of a column is for the server to deal with."""
        return self.columns.get(column, False) if self.certain else bool(_LENIENT_TEXT.search(self.text))


def image_columns_of(request: TrainJobRequest) -> ImageColumns:
    """Return the image columns of a request's spec; none where it is no spec, which the server will say."""
    if request.WhichOneof("spec_source") == "spec":
        return ImageColumns(_of_message(request.spec))
    text = request.spec_yaml
    try:
        return ImageColumns(_of_values(json.loads(text)))
    except (ValueError, RecursionError):
        return ImageColumns(text=text, certain=False) if re.search(r"\bimage\b", text) else ImageColumns()


def _of_message(spec: TrainSpec) -> dict[str, bool]:
    shared = spec.defaults["image"].preprocessing.bad_image_policy if "image" in spec.defaults else ""
    return {
        feature.column or feature.name: (feature.preprocessing.bad_image_policy or shared) in LENIENT
        for feature in spec.input_features
        if feature.type == "image"
    }


def _of_values(spec: Any) -> dict[str, bool]:
    features = spec.get("input_features") if isinstance(spec, dict) else None
    images = [item for item in features if _at(item, "type") == "image"] if isinstance(features, list) else []
    shared = _at(spec, "defaults", "image", "preprocessing", "bad_image_policy")
    found = {}
    for item in images:
        policy = _at(item, "preprocessing", "bad_image_policy") or shared
        found[str(item.get("column") or item.get("name"))] = policy in LENIENT
    return found


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
