"""Resolves the trainer section of boosted trees."""

import importlib.util
from collections.abc import Sequence
from dataclasses import replace

from headstart_server.core.errors import invalid
from headstart_server.core.reasons import Reason
from headstart_server.data.features.fitted import PRETRAINED, FittedFeature
from headstart_server.model.decoders import logit_columns
from headstart_server.planning.resolution import Resolution
from headstart_server.planning.trainer import TrainerPlan, plan_without_steps, seed_of
from headstart_server.spec.model import TrainSpec
from headstart_server.training.boosting_settings import BoostingSettings

_ROUNDS = 1_000
_ROUNDS_PER_EVALUATION = 10
_LEARNING_RATE = 0.05
_MIN_DATA_IN_LEAF = 20
_MOST_LEAVES_OF_ROWS = 20
"""Into how many leaves of `min_data_in_leaf` rows the training rows can be divided at least."""
_MOST_COLUMNS = 1_000
"""Of an output: each round makes as many trees."""
_BINS_OF_EMBEDDINGS = 63
_DEFAULTS: dict[str, float] = {
    "num_leaves": 31,
    "max_depth": -1,
    "feature_fraction": 1.0,
    "bagging_fraction": 1.0,
    "bagging_freq": 0,
    "lambda_l1": 0.0,
    "lambda_l2": 0.0,
    "min_gain_to_split": 0.0,
    "max_bin": 255,
}
"""LightGBM's own."""


def plan_boosting(spec: TrainSpec, resolution: Resolution, rows: int, *, encoder_runs: bool) -> TrainerPlan:
    """Resolves `trainer` of a spec whose `model_type` is gbm; raises InvalidInputError where LightGBM is missing."""
    if importlib.util.find_spec("lightgbm") is None:
        message = "'gbm' needs LightGBM on the server, which is not installed there: pip install 'headstart[gbm]'"
        raise invalid("model_type", f"{message}, or use 'ecd'", reason=Reason.LIGHTGBM_NOT_INSTALLED)
    trainer, settle = spec.trainer, resolution.settle
    rounds = trainer.train_steps or settle("trainer.epochs", trainer.epochs, _ROUNDS, "early stopping ends them")
    if trainer.train_steps is not None:
        settle("trainer.train_steps", trainer.train_steps, trainer.train_steps)
    given = trainer.steps_per_checkpoint or None
    boosting = BoostingSettings(
        rounds=rounds,
        rounds_per_evaluation=settle("trainer.steps_per_checkpoint", given, _ROUNDS_PER_EVALUATION),
        learning_rate=settle("trainer.learning_rate", trainer.learning_rate, _LEARNING_RATE),
        seed=seed_of(spec) % (1 << 31),  # LightGBM's is an int32
        parameters=_parameters(spec, resolution, rows),
    )
    return replace(
        plan_without_steps(spec, resolution, rows, encoder_runs=encoder_runs),
        epochs=rounds,
        learning_rate=boosting.learning_rate,
        head_learning_rate=boosting.learning_rate,
        early_stop=max(0, settle("trainer.early_stop", trainer.early_stop, 5)),
        train_steps=trainer.train_steps or 0,
        boosting=boosting,
    )


def require_few_columns(outputs: Sequence[FittedFeature]) -> None:
    """Raises InvalidInputError for outputs that would take more trees a round than are worth their time."""
    for index, feature in enumerate(outputs):
        columns = logit_columns(feature)
        if columns > _MOST_COLUMNS:
            raise invalid(
                f"output_features[{index}]",
                f"{feature.name!r} has {columns} classes, and boosted trees make a tree for each in every round; at "
                f"most {_MOST_COLUMNS} are for model_type: gbm, so use ecd, or keep fewer (preprocessing.most_common)",
            )


def _parameters(spec: TrainSpec, resolution: Resolution, rows: int) -> dict[str, float]:
    path, boosting = "trainer.boosting", spec.trainer.boosting
    found = {
        key: resolution.settle(f"{path}.{key}", getattr(boosting, key), default) for key, default in _DEFAULTS.items()
    }
    leaf, reason = _MIN_DATA_IN_LEAF, ""
    if rows < _MIN_DATA_IN_LEAF * _MOST_LEAVES_OF_ROWS:
        leaf = max(1, rows // _MOST_LEAVES_OF_ROWS)
        reason = f"a twentieth of {rows} training rows"
    if any(feature.type in PRETRAINED for feature in spec.input_features):
        reason_of_bins = (
            "embeddings have hundreds of columns, of which finer bins teach nothing and take four times as long"
        )
        found["max_bin"] = resolution.settle(f"{path}.max_bin", boosting.max_bin, _BINS_OF_EMBEDDINGS, reason_of_bins)
    found["min_data_in_leaf"] = resolution.settle(f"{path}.min_data_in_leaf", boosting.min_data_in_leaf, leaf, reason)
    return found
