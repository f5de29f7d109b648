"""Ludwig's `hyperopt` means here what it means there, and what differs is told."""

from __future__ import annotations

import json
from typing import Any

from headstart_server.spec.model import TrainSpec
from headstart_server.spec.parse import parse_yaml

from tests.support.specs import spec_with

GRID = {"space": "grid_search", "values": [1, 2, 3]}


def read(**hyperopt: Any) -> TrainSpec:
    return parse_yaml(json.dumps(spec_with(hyperopt=hyperopt)))


def told(spec: TrainSpec) -> str:
    return "\n".join(str(note) for note in spec.notes)


def test_a_grid_is_tried_once_however_many_samples_ray_would_have_made_of_it() -> None:
    spec = read(parameters={"trainer.epochs": GRID, "combiner.num_fc_layers": GRID}, executor={"num_samples": 2})
    assert (spec.sweep.search, spec.sweep.trials) == ("grid", None)
    assert "hyperopt.executor.num_samples" in told(spec)
    assert "num_samples" not in told(read(parameters={"trainer.epochs": GRID}, executor={"num_samples": 1}))


def test_a_grid_beside_other_spaces_is_drawn_from_which_is_told() -> None:
    drawn = {"space": "loguniform", "lower": 0.001, "upper": 0.1}
    spec = read(parameters={"trainer.epochs": GRID, "trainer.learning_rate": drawn}, executor={"num_samples": 5})
    assert (spec.sweep.search, spec.sweep.trials) == ("random", 5)
    assert "drawn from at random" in told(spec)


def test_trials_are_compared_by_the_loss_unless_a_metric_is_named() -> None:
    choice = {"trainer.epochs": {"space": "choice", "categories": [1, 2]}}
    assert read(parameters=choice).sweep.metric == "loss"
    assert read(parameters=choice, metric="accuracy").sweep.metric == "accuracy"
    assert read(parameters=choice, metric="loss", output_feature="combined").sweep.metric == "loss"
