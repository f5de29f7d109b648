"""Jobs over image columns up to the stored embeddings, with an encoder so plain that its answers can be worked out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from headstart_server.core.errors import CancelledError
from headstart_server.core.layout import Layout
from headstart_server.data.dataset import PreparedData, prepare
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.images.augmentation import Augmentation
from headstart_server.data.tables import Sources, table_of_arrow
from headstart_server.embedding_store.fill import FillProgress
from headstart_server.encoders.image import FEATURES, ImageEncoder
from headstart_server.encoders.sources import ModelSources
from headstart_server.encoders.torchvision_weights import TorchvisionSource
from headstart_server.encoders.tuning import Tuning
from headstart_server.engines.events import EncodeReport, JobEvent
from headstart_server.engines.listener import Silent
from headstart_server.engines.runtime_context import RuntimeContext
from headstart_server.engines.stored_inputs import StoredInput, StoredInputs
from headstart_server.planning.image_inputs import ImagePlan
from headstart_server.spec.model import TrainSpec
from headstart_server.storage.storage import Storage
from headstart_server.training.reports import JobWarning
from torch import Tensor, nn

from tests.support.images import SMALL

DIMENSION = 12


class Quarters(nn.Module):
    """The mean of each colour in each quarter, [n, 12]."""

    def forward(self, values: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(values, 2).flatten(1)


class QuartersEncoder(ImageEncoder):
    """Has nothing to fuse."""

    def fused(self) -> ImageEncoder:
        return self


@dataclass(frozen=True)
class QuartersPlan(ImagePlan):
    """Plans that encoder; `encoded` collects how many images each of its batches had."""

    encoded: list[int] = field(default_factory=list, compare=False)

    def load_encoder(self) -> ImageEncoder:
        encoder = QuartersEncoder(Quarters(), FEATURES, DIMENSION, SMALL)
        encoder.register_forward_pre_hook(lambda _, arguments: self.encoded.append(len(arguments[0])))
        return encoder


def plan_of(
    name: str = "image", views: int = 0, augmentation: Augmentation | None = None, **changes: Any
) -> QuartersPlan:
    """A frozen, stored input."""
    values: dict[str, Any] = {
        "name": name,
        "path": "input_features[0]",
        "source": TorchvisionSource("quarters", "quarters", SMALL, None),
        "reduction": FEATURES,
        "dimension": DIMENSION,
        "use_pretrained": True,
        "tuning": Tuning.FROZEN,
        "cached": True,
        "precision": "fp32",
        "transform": SMALL,
        "augmentation": augmentation,
        "views": views,
        "seed": 3,
    }
    return QuartersPlan(**{**values, **changes})


def embedding_of(crop: Tensor) -> list[float]:
    """What the encoder makes of one crop."""
    values = (crop.double() / 255 - torch.tensor(SMALL.mean).double()[:, None, None]) / torch.tensor(SMALL.std)[
        :, None, None
    ]
    return [
        float(value)
        for colour in values
        for half in colour.chunk(2, 0)
        for value in (q.mean() for q in half.chunk(2, 1))
    ]


@dataclass
class RecordingListener(Silent):
    """A listener that remembers, and cancels the job at a check that is one too many."""

    warnings: list[tuple[str, str]] = field(default_factory=list)
    progress: list[tuple[str, EncodeReport]] = field(default_factory=list)
    checks: int = 0
    most_checks: int = 1 << 31

    def report(self, event: JobEvent) -> None:
        match event:
            case JobWarning():
                self.warnings.append((event.reason, event.message))
            case EncodeReport():
                self.progress.append((event.feature, event))

    def check(self) -> None:
        self.checks += 1
        if self.checks > self.most_checks:
            raise CancelledError("cancelled")


def sources_of_images(parts: str, columns: Mapping[str, Sequence[bytes | None]], **others: list[Any]) -> Sources:
    """Rows whose parts are given as letters (t, v or e for test; - has no label), with image columns."""
    split = [{"t": 0, "-": 0, "v": 1, "e": 2}[part] for part in parts]
    labels = [None if part == "-" else float(index) for index, part in enumerate(parts)]
    images = {name: pa.array(files, pa.large_binary()) for name, files in columns.items()}
    return Sources(
        (table_of_arrow(pa.table({**images, **others, "split": split, "label": labels}), "dataset"),), ("dataset",)
    )


class ImageJob:
    """One job: rows prepared, then the stored embeddings of its image inputs."""

    def __init__(self, root: Path, sources: Sources, names: Sequence[str] = ("image",), policy: str = "fail") -> None:
        inputs = [{"name": name, "type": "image", "preprocessing": {"bad_image_policy": policy}} for name in names]
        spec = TrainSpec.model_validate(
            {
                "input_features": inputs,
                "output_features": [{"name": "label", "type": "number"}],
                "preprocessing": {"split": {"type": "fixed", "column": "split"}},
            }
        )
        self.data: PreparedData = prepare(spec, sources, 0)
        self.recorded = RecordingListener()
        self.runtime = RuntimeContext.at(Storage(Layout(root / "state")), ModelSources())
        self.inputs = StoredInputs(self.data, self.runtime, self.recorded, root / "scratch")

    def feature(self, name: str = "image") -> FittedFeature:
        return next(item for item in self.data.inputs if item.name == name)

    def stored(self, plan: ImagePlan) -> StoredInput:
        return self.inputs.of(self.feature(plan.name), plan)

    def last(self, feature: str = "image") -> FillProgress:
        return [progress for name, progress in self.recorded.progress if name == feature][-1]

    def has(self, plan: ImagePlan, keys: np.ndarray[Any, Any]) -> list[bool]:
        """Which keys the plan's space holds on disk."""
        space = RuntimeContext.at(self.runtime.storage, ModelSources()).store.space(plan.space)
        space.refresh()
        return list(map(bool, space.contains(keys)))
