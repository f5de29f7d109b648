"""Every `auto` becomes a value with its origin; what was given is kept."""

import pytest
from headstart_server.planning import rules
from headstart_server.planning.resolution import Origin, Resolution
from headstart_server.spec.model import TrainSpec
from headstart_server.spec.parse import parse_values
from headstart_server.spec.training_sections import TrainerSpec
from hypothesis import given
from hypothesis import strategies as st

SPEC = parse_values(
    {
        "input_features": [{"name": "a", "type": "text"}, {"name": "b", "type": "number"}],
        "output_features": [{"name": "y", "type": "category"}],
        "trainer": {"epochs": 7},
    }
)


def test_what_was_given_is_kept_and_named_so() -> None:
    resolution = Resolution.of(SPEC)
    assert resolution.settle("trainer.epochs", 7, 3) == 7
    assert resolution.resolved["trainer.epochs"].origin is Origin.GIVEN


@pytest.mark.parametrize(
    ("reason", "origin", "expected"),
    [("", None, Origin.DEFAULT), ("because", None, Origin.RULE), ("because", Origin.MEASURED, Origin.MEASURED)],
)
def test_what_was_not_given_names_where_it_came_from(reason: str, origin: Origin | None, expected: Origin) -> None:
    resolution = Resolution.of(SPEC)
    assert resolution.settle("trainer.batch_size", None, 64, reason, origin) == 64
    found = resolution.resolved["trainer.batch_size"]
    assert (found.value, found.origin, found.reason) == (64, expected, reason)
    assert resolution.spec().trainer.batch_size == 64


def test_false_and_zero_count_as_given() -> None:
    resolution = Resolution.of(SPEC)
    assert resolution.settle("trainer.compile", False, True) is False
    assert resolution.settle("trainer.early_stop", 0, 5) == 0


def test_values_of_features_are_set_by_path_and_the_given_spec_is_left_alone() -> None:
    before = SPEC.compact()
    resolution = Resolution.of(SPEC)
    resolution.record("input_features[0].encoder.reduce_output", "mean", Origin.DEFAULT)
    resolution.record("input_features[1].encoder.type", "dense", Origin.DEFAULT)
    resolved = resolution.spec()
    assert resolved.input_features[0].encoder.reduce_output == "mean"
    assert resolved.input_features[1].encoder.type == "dense"
    assert resolved.trainer.epochs == 7
    assert SPEC.compact() == before


def test_a_later_record_replaces_an_earlier_one() -> None:
    resolution = Resolution.of(SPEC)
    resolution.settle("trainer.batch_size", None, 1024, "rule")
    resolution.record("trainer.batch_size", 16, Origin.MEASURED, "memory")
    assert resolution.spec().trainer.batch_size == 16
    assert resolution.resolved["trainer.batch_size"].origin is Origin.MEASURED


@given(st.integers(1, 10**7), st.one_of(st.none(), st.integers(1, 5000)), st.booleans())
def test_an_automatic_batch_is_bounded_by_rows_and_limits(rows: int, most: int | None, trains: bool) -> None:
    size, reason = rules.batch_size(rows, TrainerSpec(max_batch_size=most), encoder_trains=trains)
    assert 1 <= size <= rows
    assert size <= (rules.MAX_ENCODER_BATCH if trains else rules.MAX_BATCH)
    assert most is None or size <= most
    assert reason


def test_larger_data_gets_larger_batches() -> None:
    sizes = [rules.batch_size(rows, TrainerSpec(), encoder_trains=False)[0] for rows in (10, 100, 10**4, 10**6)]
    assert sizes == sorted(sizes)
    assert sizes[-1] == rules.MAX_BATCH


def test_a_linear_head_learns_slower_from_few_rows_and_other_layers_do_not() -> None:
    linear, deep = TrainSpec(), TrainSpec.model_validate({"combiner": {"num_fc_layers": 1}})
    assert (
        rules.learning_rate(linear, 999, encoder_trains=False)[0]
        < rules.learning_rate(linear, 1_000, encoder_trains=False)[0]
    )
    for spec, trains in ((deep, False), (linear, True)):
        few, many = (rules.learning_rate(spec, rows, encoder_trains=trains) for rows in (10, 10**6))
        assert few == many


def test_every_rule_says_why() -> None:
    for trains in (False, True):
        assert rules.epochs(encoder_runs=trains)[1]
        assert rules.learning_rate(TrainSpec(), 100, encoder_trains=trains)[1]
        assert rules.warmup_fraction(encoder_trains=trains)[1]
