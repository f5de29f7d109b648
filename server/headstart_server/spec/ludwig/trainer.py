"""Spellings of the trainer."""

from __future__ import annotations

from headstart_server.spec.ludwig.batches import BATCH_SPELLINGS
from headstart_server.spec.ludwig.optimizer import OPTIMIZER_SPELLINGS
from headstart_server.spec.ludwig.rewriting import Reading, Section, Spelling, moved_to, put, without_effect
from headstart_server.spec.ludwig.scheduler import SCHEDULER_SPELLINGS


def _validation_field(section: Section, path: str, reading: Reading) -> None:
    trainer, outputs = section["trainer"], section.get("output_features")
    if not isinstance(trainer, dict) or "validation_field" not in trainer:
        return
    path = f"{path}.validation_field"
    output, metric = trainer.pop("validation_field"), trainer.get("validation_metric")
    if output in (None, "combined", "auto"):
        return
    if not isinstance(output, str) or not isinstance(metric, str | None):
        reading.refuse(path, "must be the name of an output")
    elif metric not in (None, "auto", "loss"):
        trainer["validation_metric"] = f"{output}.{metric}"
        reading.note(path, f"read as validation_metric: {output}.{metric}"[:300])
    elif not isinstance(outputs, list) or len(outputs) != 1:
        reading.refuse(path, "needs a validation_metric that is not the loss: that is taken of all outputs together")


def _gradient_checkpointing(section: Section, path: str, reading: Reading) -> None:
    trainer, backend, key = section["trainer"], section.get("backend"), "enable_gradient_checkpointing"
    if not isinstance(trainer, dict) or key not in trainer:
        return
    path, wanted = f"{path}.{key}", trainer.pop(key)
    if wanted is True and isinstance(backend, dict) and backend.get("type") == "ray":
        if backend.get("trainer") in (None, "auto"):
            backend["trainer"] = {}
        if isinstance(backend["trainer"], dict):
            put(backend["trainer"], "", "activation_checkpointing", True, path, reading, at="backend.trainer")
            reading.note(path, "read as backend.trainer.activation_checkpointing")
    elif not isinstance(wanted, bool | None):
        reading.refuse(path, f"{str(wanted)[:80]!r} must be true or false")
    elif wanted:
        reading.note(path, "has no effect: it saves memory and changes no result; workers of backend ray can do it")


def _regularization_type(section: Section, path: str, reading: Reading) -> None:
    if section["regularization_type"] is None:
        section.pop("regularization_type")
        if section.get("regularization_lambda"):
            section.pop("regularization_lambda")
            reading.note(path, "null switches regularization_lambda off, as in Ludwig")
        return
    if not section.get("regularization_lambda"):
        section.pop("regularization_type")
        reading.note(path, "has no effect without regularization_lambda")


_BOOSTING = (
    "num_leaves",
    "max_depth",
    "min_data_in_leaf",
    "feature_fraction",
    "bagging_fraction",
    "bagging_freq",
    "lambda_l1",
    "lambda_l2",
    "min_gain_to_split",
    "max_bin",
)
"""Keys of Ludwig's trainer of boosted trees (0.7 to 0.10) that have a section of their own here."""

TRAINER_SPELLINGS: tuple[Spelling, ...] = (
    Spelling("", "training", "`trainer`", moved_to("", "trainer"), "0.5"),
    Spelling(
        "trainer",
        "type",
        "no effect if `trainer` or `lightgbm_trainer`",
        without_effect("there is one trainer for each model_type", "trainer", "lightgbm_trainer"),
    ),
    *OPTIMIZER_SPELLINGS,
    *SCHEDULER_SPELLINGS,
    *BATCH_SPELLINGS,
    Spelling(
        "",
        "trainer",
        "`validation_field`: `validation_metric: field.metric`; of one output, its loss",
        _validation_field,
    ),
    Spelling(
        "trainer",
        "bucketing_field",
        "no effect",
        without_effect("texts that an encoder reads while it trains are batched by length, if rows are shuffled"),
        "0.7",
    ),
    Spelling(
        "",
        "trainer",
        "`enable_gradient_checkpointing`: `backend.trainer.activation_checkpointing` on Ray; else no effect",
        _gradient_checkpointing,
    ),
    Spelling("trainer", "num_boost_round", "`epochs`: of `model_type: gbm` a round is one", moved_to("", "epochs")),
    Spelling(
        "trainer", "boosting_rounds_per_checkpoint", "`steps_per_checkpoint`", moved_to("", "steps_per_checkpoint")
    ),
    *(Spelling("trainer", key, f"`boosting.{key}`", moved_to("boosting", key)) for key in _BOOSTING),
    Spelling("trainer", "regularizer", "`regularization_type`", moved_to("", "regularization_type"), "0.5"),
    Spelling("trainer", "regularization_type", "no effect without `regularization_lambda`", _regularization_type),
)
