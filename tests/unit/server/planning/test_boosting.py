"""The settings of boosted trees: what they become, and where they cannot be had."""

import sys
from typing import Any

import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.data.features.fitted import fit_feature
from headstart_server.planning.boosting import plan_boosting, require_few_columns
from headstart_server.planning.resolution import Origin, Resolution
from headstart_server.planning.trainer import TrainerPlan
from headstart_server.spec.model import FeatureSpec
from headstart_server.spec.parse import parse_values

from tests.support.tables import WHERE, chunks


def _planned(rows: int = 5_000, **trainer: Any) -> tuple[TrainerPlan, Resolution]:
    spec = parse_values(
        {
            "model_type": "gbm",
            "input_features": [{"name": "x", "type": "number"}],
            "output_features": [{"name": "y", "type": "number"}],
            "trainer": trainer,
        }
    )
    resolution = Resolution.of(spec)
    return plan_boosting(spec, resolution, rows, encoder_runs=False), resolution


def test_every_value_that_decides_is_told_and_no_other() -> None:
    plan, resolution = _planned()
    assert plan.boosting is not None
    assert (plan.boosting.rounds, plan.boosting.rounds_per_evaluation, plan.early_stop) == (1_000, 10, 5)
    told = {path.removeprefix("trainer.") for path in resolution.resolved}
    assert {"epochs", "learning_rate", "steps_per_checkpoint", "boosting.num_leaves"} <= told
    assert not told & {"batch_size", "optimizer.type", "use_mixed_precision", "compile", "checkpoint"}
    assert plan.boosting.parameters["min_data_in_leaf"] == 20


def test_of_few_rows_leaves_are_smaller() -> None:
    plan, resolution = _planned(rows=100)
    assert plan.boosting is not None and plan.boosting.parameters["min_data_in_leaf"] == 5
    assert resolution.resolved["trainer.boosting.min_data_in_leaf"].origin is Origin.RULE


def test_what_is_given_is_taken() -> None:
    plan, _ = _planned(train_steps=7, learning_rate=0.3, boosting={"max_depth": 4, "lambda_l2": 1.5})
    assert plan.boosting is not None
    assert (plan.boosting.rounds, plan.boosting.learning_rate) == (7, 0.3)
    assert (plan.boosting.parameters["max_depth"], plan.boosting.parameters["lambda_l2"]) == (4, 1.5)


def test_without_lightgbm_it_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(InvalidInputError, match=r"pip install 'headstart\[gbm\]', or use 'ecd'") as refused:
        _planned()
    assert (refused.value.field, refused.value.reason) == ("model_type", "LIGHTGBM_NOT_INSTALLED")


def test_an_output_of_very_many_labels_is_refused() -> None:
    spec = FeatureSpec.model_validate({"name": "y", "type": "category"})
    labels = [str(number) for number in range(1_001)]
    with pytest.raises(InvalidInputError, match="1001 classes") as refused:
        require_few_columns([fit_feature(spec, chunks(labels), WHERE, output=True)])
    assert refused.value.field == "output_features[0]"
