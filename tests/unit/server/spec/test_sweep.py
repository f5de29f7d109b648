"""The specs that a sweep tries: sound ones, drawn as is asked for, without what has no effect beside the others."""

import sys
from typing import Any

import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.planning.sweep import rows_key
from headstart_server.spec.model import TrainSpec
from headstart_server.spec.parse import parse_values
from headstart_server.spec.sweep_trials import Trial, search_of, trials_of


def _values(parameters: dict[str, Any], **sweep: Any) -> dict[str, Any]:
    return {
        "input_features": [{"name": "text", "type": "text"}, {"name": "size", "type": "number"}],
        "output_features": [{"name": "label", "type": "category"}],
        "sweep": {"parameters": parameters, **sweep},
    }


def _spec(parameters: dict[str, Any], **sweep: Any) -> TrainSpec:
    return parse_values(_values(parameters, **sweep))


def _trials(parameters: dict[str, Any], **sweep: Any) -> list[Trial]:
    spec = _spec(parameters, **sweep)
    return list(trials_of(spec, search_of(spec)))


def _refused(parameters: dict[str, Any], **sweep: Any) -> dict[str, str]:
    with pytest.raises(InvalidInputError) as caught:
        parse_values(_values(parameters, **sweep))
    return {item.field: item.message for item in caught.value.violations}


def test_a_trial_is_the_spec_with_other_settings_and_without_the_sweep() -> None:
    trials = _trials({"trainer.learning_rate": [0.1, 0.2], "input_features[0].encoder.reduce_output": ["cls"]})
    assert [trial.number for trial in trials] == [1, 2]
    for trial in trials:
        assert trial.spec.trainer.learning_rate == trial.parameters["trainer.learning_rate"]
        assert trial.spec.input_features[0].encoder.reduce_output == "cls"
        assert not trial.spec.sweep.parameters


def test_a_grid_is_every_combination_once() -> None:
    trials = _trials({"combiner.dropout": [0.1, 0.2, 0.3], "trainer.epochs": [1, 2]}, search="grid")
    found = {(trial.spec.combiner.dropout, trial.spec.trainer.epochs) for trial in trials}
    assert found == {(a, b) for a in (0.1, 0.2, 0.3) for b in (1, 2)} and len(trials) == 6


@pytest.mark.parametrize("search", ["random", "tpe"])
def test_numbers_lie_within_their_bounds(search: str) -> None:
    parameters = {
        "trainer.learning_rate": {"min": 1e-4, "max": 1e-1, "scale": "log"},
        "combiner.dropout": {"min": 0.1, "max": 0.5},
        "trainer.epochs": {"min": 2, "max": 4, "integer": True},
    }
    trials = _trials(parameters, search=search, trials=40)
    rates = [trial.spec.trainer.learning_rate or 0.0 for trial in trials]
    assert len(trials) == 40 and min(rates) >= 1e-4 and max(rates) <= 1e-1
    assert sum(rate < 10**-2.5 for rate in rates) > 5  # half of a logarithmic scale, a thirtieth of a linear one
    assert all(0.1 <= (trial.spec.combiner.dropout or 0) <= 0.5 for trial in trials)
    assert {trial.spec.trainer.epochs for trial in trials} == {2, 3, 4}


def test_the_seed_decides_what_is_drawn() -> None:
    parameters = {"trainer.learning_rate": {"min": 0.001, "max": 0.1}}
    drawn = []
    for seed in (1, 1, 2):
        spec = parse_values({**_values(parameters, trials=3), "trainer": {"random_seed": seed}})
        drawn.append([trial.parameters for trial in trials_of(spec, search_of(spec))])
    assert drawn[0] == drawn[1] != drawn[2]


def test_no_settings_are_tried_twice_and_a_small_space_ends() -> None:
    trials = _trials({"trainer.epochs": [1, 2, 3]}, trials=50)
    assert sorted(trial.spec.trainer.epochs or 0 for trial in trials) == [1, 2, 3]


def test_what_has_no_effect_beside_the_others_is_left_out() -> None:
    parameters = {
        "model_type": ["ecd", "gbm"],
        "combiner.num_fc_layers": [0, 2],
        "trainer.boosting.num_leaves": [7, 15],
        "trainer.learning_rate": [0.05],
    }
    for trial in _trials(parameters, search="grid"):
        other = "combiner.num_fc_layers" if trial.parameters["model_type"] == "gbm" else "trainer.boosting.num_leaves"
        assert set(trial.parameters) == set(parameters) - {other}
    assert len(_trials(parameters, search="grid")) == 4


def test_a_whole_section_may_be_a_choice_and_auto_is_as_if_nothing_was_given() -> None:
    trials = _trials(
        {"combiner": [{}, {"num_fc_layers": 1, "dropout": 0.2}], "trainer.epochs": ["auto", 7]}, search="grid"
    )
    assert {trial.spec.combiner.num_fc_layers for trial in trials} == {None, 1}
    assert {trial.spec.trainer.epochs for trial in trials} == {None, 7}


@pytest.mark.parametrize(
    ("parameters", "sweep", "field", "words"),
    [
        ({"trainer.learning_rat": [0.1]}, {}, "sweep.parameters.trainer.learning_rat", "extra"),
        ({"trainer.learning_rate": [-1.0]}, {}, "sweep.parameters.trainer.learning_rate", "greater than 0"),
        (
            {"trainer.learning_rate": {"min": 0.1, "max": 1e9}},
            {},
            "sweep.parameters.trainer.learning_rate",
            "less than",
        ),
        ({"trainer": {"min": 0.1, "max": 1}}, {}, "sweep.parameters.trainer", "dictionary"),
        ({"input_features[7].encoder.type": ["bert"]}, {}, "sweep.parameters.input_features[7].encoder.type", "no [7]"),
        ({"text.encoder.type": ["bert"]}, {}, "sweep.parameters.text.encoder.type", "no section"),
        ({"sweep.trials": [3]}, {}, "sweep.parameters.sweep.trials", "no section"),
        ({"": [3]}, {}, "sweep.parameters.", "no path"),
        ({"trainer..epochs": [3]}, {}, "sweep.parameters.trainer..epochs", "no path"),
        ({"trainer.epochs": {}}, {}, "sweep.parameters.trainer.epochs", "choices"),
        ({"trainer.epochs": {"min": 1}}, {}, "sweep.parameters.trainer.epochs", "min and max"),
        ({"trainer.epochs": {"min": 5, "max": 1}}, {}, "sweep.parameters.trainer.epochs.min", "above max"),
        ({"trainer.epochs": {"choices": [1], "min": 1}}, {}, "sweep.parameters.trainer.epochs", "leave one"),
        (
            {"trainer.learning_rate": {"min": 0, "max": 1, "scale": "log"}},
            {},
            "sweep.parameters.trainer.learning_rate.min",
            "logarithm",
        ),
        (
            {"trainer.epochs": {"min": 0.4, "max": 3, "scale": "log", "integer": True}},
            {"search": "tpe"},
            "sweep.parameters.trainer.epochs.min",
            "from 1 on",
        ),
        (
            {"trainer.epochs": list(range(1, 300)), "combiner.output_size": list(range(1, 300))},
            {"search": "grid"},
            "sweep.parameters",
            "89,401 combinations",
        ),
        ({"trainer.epochs": {"min": 1, "max": 3}}, {"search": "grid"}, "sweep.parameters.trainer.epochs", "grid"),
        ({"trainer.boosting.num_leaves": [7]}, {}, "sweep.parameters.trainer.boosting.num_leaves", "no effect"),
        ({"output_features[0].type": ["date"]}, {}, "sweep.parameters.output_features[0].type", "no effect"),
        ({}, {"trials": 3}, "sweep.parameters", "missing"),
    ],
)
def test_it_is_refused(parameters: dict[str, Any], sweep: dict[str, Any], field: str, words: str) -> None:
    found = _refused(parameters, **sweep)
    assert any(key == field and words in message for key, message in found.items()), found


def test_settings_that_exclude_each_other_are_refused_with_what_they_are() -> None:
    values = {**_values({"trainer.steps_per_checkpoint": [5]}), "trainer": {"checkpoints_per_epoch": 2}}
    with pytest.raises(InvalidInputError, match=r"checkpoint: 5: trainer\.checkpoints_per_epoch: excludes"):
        parse_values(values)


def test_without_optuna_its_search_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    found = _refused({"trainer.epochs": [1, 2]}, search="tpe")
    assert "pip install 'headstart[sweep]'" in found["sweep.search"]
    assert _spec({"trainer.epochs": [1, 2]}).sweep.parameters


def test_on_ray_it_is_refused() -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_values({**_values({"trainer.epochs": [1, 2]}), "backend": {"type": "ray"}})
    assert caught.value.field == "backend.type"


def test_parzens_estimator_learns_what_is_good() -> None:
    spec = _spec({"combiner.dropout": {"min": 0.0, "max": 0.9}}, search="tpe", trials=60)
    search, drawn = search_of(spec), []
    for trial in trials_of(spec, search):
        drawn.append(trial.spec.combiner.dropout or 0.0)
        search.tell(-abs(drawn[-1] - 0.7))
    late = drawn[30:]
    assert sum(abs(value - 0.7) < 0.15 for value in late) > 2 * sum(abs(value - 0.7) < 0.15 for value in drawn[:10]) + 5


def test_more_choices_than_are_read_in_a_second_are_refused() -> None:
    values = _values({"trainer.epochs": list(range(1, 900)), "combiner.output_size": list(range(1, 200))})
    with pytest.raises(InvalidInputError, match="have 1,098 choices; use at most 1,000"):
        parse_values(values)
    values = _values({"input_features[0].encoder.type": ["dense"] * 60})
    values["input_features"] = [{"name": f"x{number}", "type": "number"} for number in range(200)]
    with pytest.raises(InvalidInputError, match="with 201 columns use"):
        parse_values(values)


@pytest.mark.parametrize("first", [["ecd", "gbm"], ["gbm", "ecd"]])
def test_a_grid_is_whole_however_many_of_its_combinations_are_alike(first: list[str]) -> None:
    dropouts = [number / 100 for number in range(1, 61)]
    trials = _trials({"model_type": first, "combiner.dropout": dropouts}, search="grid")
    assert len(trials) == 61
    layers = {name: [1, 2, 3, 4] for name in ("combiner.num_fc_layers", "combiner.output_size", "trainer.epochs")}
    assert len(_trials({"model_type": first, **layers}, search="grid")) == 4 * 4 * 4 + 4


def test_a_setting_inside_another_choice_changes_neither_it_nor_the_spec() -> None:
    choices: list[dict[str, Any]] = [{}, {"num_fc_layers": 1}]
    spec = _spec({"combiner": choices, "combiner.dropout": [0.1, 0.2, 0.3]}, search="grid")
    trials = list(trials_of(spec, search_of(spec)))
    assert spec.sweep.parameters["combiner"].choices == [{}, {"num_fc_layers": 1}]
    for trial in trials:
        assert trial.parameters["combiner"] in choices
        assert trial.spec.combiner.dropout == trial.parameters["combiner.dropout"]


def test_the_order_in_which_settings_are_named_changes_nothing() -> None:
    parameters = {"trainer.learning_rate": {"min": 0.001, "max": 0.1}, "combiner.dropout": {"min": 0.0, "max": 0.5}}
    there, back = (_trials(dict(order), trials=5) for order in (parameters.items(), reversed(parameters.items())))
    assert [trial.parameters for trial in there] == [trial.parameters for trial in back]


def test_other_seeds_split_the_rows_otherwise() -> None:
    first, second = _trials({"trainer.random_seed": [1, 2]}, search="grid")
    assert rows_key(first.spec) != rows_key(second.spec)
    first, second = _trials({"trainer.epochs": [1, 2]}, search="grid")
    assert rows_key(first.spec) == rows_key(second.spec)
