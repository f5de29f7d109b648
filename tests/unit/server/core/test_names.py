"""Resource names: what is made is accepted, what has another form is refused; ids sort by time."""

from pathlib import Path

import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.core.layout import Layout
from headstart_server.core.names import id_of, name_of, new_id
from headstart_server.core.suggest import choices, did_you_mean, nearest
from hypothesis import given
from hypothesis import strategies as st


def test_ids_are_distinct() -> None:
    assert len({new_id() for _ in range(2_000)}) == 2_000


def test_ids_sort_by_time() -> None:
    moments = [0, 31, 32, 1_000, 1_700_000_000_000, 1_700_000_000_001, 4_000_000_000_000]
    clock = (moment * 1_000_000 for moment in moments).__next__
    ids = [new_id(clock) for _ in moments]
    assert ids == sorted(ids)


def test_a_made_name_gives_its_id_back() -> None:
    identifier = new_id()
    assert id_of("models", name_of("models", identifier)) == identifier


@given(st.text(max_size=40))
def test_only_ids_of_the_collection_are_taken_from_names(text: str) -> None:
    try:
        identifier = id_of("models", text)
    except InvalidInputError as error:
        assert error.field == "name"
    else:
        assert text == f"models/{identifier}"


@pytest.mark.parametrize(
    "name", ["models/", "models/../x", "models/A", "datasets/a", "a", "", "models/a/b", "models/a\n"]
)
def test_other_forms_are_refused(name: str) -> None:
    with pytest.raises(InvalidInputError, match="models/ID"):
        id_of("models", name)


def test_the_nearest_name_is_found_whatever_its_case() -> None:
    assert nearest("LEARNING_RAT", ["epochs", "learning_rate"]) == "learning_rate"
    assert nearest("leakyrelu", ["leakyRelu", "relu"]) == "leakyRelu"
    assert nearest("zebra", ["epochs", "learning_rate"]) is None
    assert did_you_mean("zebra", ["epochs"]) == ""


def test_choices_end_an_error_with_the_names_there_are() -> None:
    assert choices("epoch", ["epochs", "seed"], "known") == "; did you mean 'epochs'? Known: epochs, seed"
    assert choices("zebra", ["epochs"], "known") == "; known: epochs"
    assert choices("x", [], "known") == "; known: none"
    assert choices("zz", [f"n{index}" for index in range(99)], "known").endswith(", n38, n39 and 59 more")
    long = choices("zz", [f"{index}-{'x' * 90}" for index in range(99)], "known")
    assert len(long) < 420 and long.endswith(" and 95 more")


def test_everything_lies_below_the_state_directory(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    names = ["database", "datasets", "tables", "embeddings", "tokens", "encoders", "models", "artifacts"]
    places = [*(getattr(layout, name) for name in names), layout.job("abc")]
    assert len(set(places)) == len(places)
    assert all(place.is_relative_to(tmp_path) for place in places)
