"""Small trainings: generated columns, a model over them, and a reporter that remembers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from headstart_server.data.features.fitted import FittedFeature, fit_feature
from headstart_server.data.parts import Part
from headstart_server.encoders.adapters import Adapter, adapt
from headstart_server.encoders.sources import ModelSource
from headstart_server.encoders.text import defer_encoder, dimension_of, load_encoder
from headstart_server.encoders.text_preparation import load_preparation
from headstart_server.encoders.tuning import Tuning
from headstart_server.model.ecd import ECD, PretrainedInput
from headstart_server.model.losses import build_loss
from headstart_server.model.world import World
from headstart_server.planning.schedule import SchedulePlan
from headstart_server.spec.model import CombinerSpec, FeatureSpec
from headstart_server.spec.training_sections import OptimizerSpec
from headstart_server.training.feed import Feed, TokenFeed
from headstart_server.training.loop import Loop
from headstart_server.training.optimizer import build_optimizer
from headstart_server.training.parallel.base import Sharing
from headstart_server.training.parallel.strategies import parallelise
from headstart_server.training.precision import Precision
from headstart_server.training.reports import EpochReport, JobWarning, PastEpoch, StepReport, TrainingEvent
from headstart_server.training.settings import LoopSettings
from headstart_server.training.timetable import Timetable

from tests.support.tables import WHERE, cells, chunks

_ADAPTER = Adapter(rank=4, alpha=8.0, dropout=0.0, targets=(), dora=False, rslora=False)
"""Without dropout, which processes would draw each for itself."""

CPU = torch.device("cpu")
ROWS = 96
WORDS = ["good", "bad", "the film", "a plot", "not great", "awful", "it was", "love"]


@dataclass
class Reports:
    """A reporter that remembers everything, and stops the run after some steps if told so."""

    stop_after: int | None = None
    epochs: list[EpochReport] = field(default_factory=list)
    steps: list[StepReport] = field(default_factory=list)
    past: list[EpochReport] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    checks: int = 0
    pause_after: int | None = None
    """Evaluations after which the run is to pause."""

    def report(self, event: TrainingEvent) -> None:
        match event:
            case StepReport():
                self.steps.append(event)
            case EpochReport():
                self.epochs.append(event)
            case PastEpoch():
                self.past.append(event.report)
            case JobWarning():
                self.warnings.append(event.reason)

    def check(self) -> None:
        self.checks += 1
        if self.stop_after is not None and self.checks > self.stop_after:
            raise InterruptedError

    def stopping(self) -> bool:
        return self.pause_after is not None and len(self.epochs) + 1 >= self.pause_after


def feature_of(name: str, kind: str, values: list[Any], *, output: bool = False, **changes: Any) -> FittedFeature:
    """A fitted feature."""
    spec = FeatureSpec.model_validate({"name": name, "type": kind, **changes})
    return fit_feature(spec, chunks(values, 50), WHERE, output=output)


def column_of(feature: FittedFeature, values: list[Any]) -> torch.Tensor:
    """A column as the model takes it."""
    return torch.from_numpy(feature.transform(cells(values), WHERE))


@dataclass
class Run:
    """Everything a loop is made of; `loop()` makes one, with the same weights every time."""

    settings: LoopSettings
    combiner: CombinerSpec = CombinerSpec()  # noqa: RUF009 - frozen
    optimizer: OptimizerSpec = OptimizerSpec()  # noqa: RUF009 - frozen
    precision: str = "fp32"
    learning_rate: float = 1e-2
    warmup: float = 0.1
    output: str = "category"
    loss: dict[str, Any] = field(default_factory=dict)
    text: Path | None = None
    tuning: Tuning = Tuning.FULL
    total_epochs: int = 0
    schedule: SchedulePlan = SchedulePlan()  # noqa: RUF009 - frozen
    reporter: Reports = field(default_factory=Reports)

    def columns(self) -> dict[str, list[Any]]:
        generator = np.random.default_rng(7)
        x, y = generator.normal(size=ROWS), generator.normal(size=ROWS)
        labels = np.where(x + 0.5 * y > 0, "p", "q").tolist()
        outputs: dict[str, list[Any]] = {
            "category": labels,
            "binary": ["yes" if label == "p" else "no" for label in labels],
            "number": (3 * x - y + 10).tolist(),
            "set": [f"{label} {'r' if value > 0 else 's'}" for label, value in zip(labels, x, strict=True)],
            "vector": [f"{a} {b}" for a, b in zip(x, y, strict=True)],
        }
        texts = [WORDS[int(index)] for index in generator.integers(0, len(WORDS), ROWS)]
        kinds = [f"k{int(index)}" for index in generator.integers(0, 4, ROWS)]
        return {"x": x.tolist(), "y": y.tolist(), "kind": kinds, "text": texts, "out": outputs[self.output]}

    def features(self) -> tuple[list[FittedFeature], FittedFeature]:
        columns = self.columns()
        inputs = [feature_of("x", "number", columns["x"]), feature_of("y", "number", columns["y"])]
        inputs.append(feature_of("kind", "category", columns["kind"]))
        if self.text is not None:
            inputs.append(feature_of("text", "text", columns["text"]))
        return inputs, feature_of("out", self.output, columns["out"], output=True, loss=self.loss)

    def feed(self) -> Feed:
        columns, (inputs, output) = self.columns(), self.features()
        tokens = {}
        if self.text is not None:
            preparation = load_preparation(ModelSource("tiny", self.text), 16, "f")
            tokens["text"] = TokenFeed(preparation.tokenize(columns["text"]), preparation.padding)
        order = torch.randperm(ROWS, generator=torch.Generator().manual_seed(3))
        parts = dict(zip(Part, (order[:0], order[:64].sort()[0], order[64:80], order[80:]), strict=True))
        return Feed(
            {item.name: column_of(item, columns[item.name]) for item in inputs if item.spec.type != "text"},
            tokens,
            {"out": column_of(output, columns["out"])},
            {part: parts[part] for part in (Part.TRAIN, Part.VALIDATION, Part.TEST)},
            CPU,
        )

    def model(self, *, in_parts: bool = False) -> ECD:
        torch.manual_seed(11)
        inputs, output = self.features()
        pretrained = {}
        if self.text is not None:
            source = ModelSource("tiny", self.text)
            item = pretrained["text"] = PretrainedInput(dimension_of(source), self.tuning)
            deferred = defer_encoder(source, "mean") if in_parts and self.tuning is Tuning.FULL else None
            if deferred is not None:
                item.defer(deferred)
            else:
                encoder = load_encoder(source, "mean", use_pretrained=True, field="f")
                item.restore(adapt(encoder, _ADAPTER) if self.tuning is Tuning.ADAPTER else encoder)
        return ECD(inputs, [output], self.combiner, pretrained)

    def loop(self, world: World | None = None, sharing: Sharing = Sharing(), **changes: Any) -> Loop:
        settings = settings_with(self.settings, changes)
        model, feed, (_, output) = self.model(in_parts=sharing.strategy == "fsdp"), self.feed(), self.features()
        parallel = parallelise(model, world or World(), sharing)
        batches = -(-feed.count(Part.TRAIN) // settings.batch_size)
        steps = -(-batches // settings.accumulation)
        epochs = self.total_epochs or settings.timetable.epochs
        timetable = replace(settings.timetable, steps_per_epoch=steps)
        settings = replace(settings, timetable=timetable)
        return Loop(
            parallel,
            feed,
            (output,),
            {"out": build_loss(output, CPU)},
            build_optimizer(model, self.optimizer, self.learning_rate, self.learning_rate, fused=not parallel.in_parts),
            replace(self.schedule, warmup_fraction=self.warmup).over(replace(timetable, epochs=epochs)),
            Precision(self.precision, CPU),
            settings,
            self.reporter,
        )


def settings_of(**changes: Any) -> LoopSettings:
    """Settings of a short run; `epochs` and the like are those of its timetable."""
    values: dict[str, Any] = {
        "batch_size": 16,
        "eval_batch_size": 7,
        "accumulation": 1,
        "clipping": None,
        "evaluate_training_set": False,
        "early_stop": 0,
        "validation_metric": "loss",
        "seed": 5,
        "checkpoints": None,
    }
    return settings_with(LoopSettings(timetable=Timetable(3, 1), **values), changes)


def settings_with(settings: LoopSettings, changes: dict[str, Any]) -> LoopSettings:
    """Settings with some changed, those of the timetable by their own names."""
    times = {name: value for name, value in changes.items() if name in Timetable.__dataclass_fields__}
    others = {name: value for name, value in changes.items() if name not in times}
    return replace(settings, timetable=replace(settings.timetable, **times), **others)
