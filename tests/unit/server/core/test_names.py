"""Resource names: what is made is accepted, what has another form is refused; ids sort by time."""

from pathlib import Path

import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.core.layout import Layout
from headstart_server.core.names import Ids, check_tenant, id_of, name_of, new_id
from headstart_server.core.principal import Principal
from headstart_server.core.suggest import choices, did_you_mean, nearest
from hypothesis import given
from hypothesis import strategies as st


def test_ids_are_distinct() -> None:
    assert len({new_id() for _ in range(2_000)}) == 2_000


def test_ids_sort_by_time() -> None:
    moments = [0, 31, 32, 1_000, 1_700_000_000_000, 1_700_000_000_001, 4_000_000_000_000]
    ids = Ids((moment * 1_000_000 for moment in moments).__next__)
    made = [ids.new() for _ in moments]
    assert made == sorted(made)


def test_ids_of_one_moment_and_of_a_clock_that_goes_back_sort_as_they_were_made() -> None:
    ids = Ids((moment * 1_000_000 for moment in [7] * 500 + [6] * 500).__next__)
    made = [ids.new() for _ in range(1_000)]
    assert made == sorted(set(made))


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


@pytest.mark.parametrize(
    "tenant", ["", "a", "acme-1", "Acme.Corp_2", "0", "x" * 64, "3f2504e0-4f89-11d3-9a0c-0305e82c3301"]
)
def test_a_tenants_name_is_that_of_a_folder(tenant: str, tmp_path: Path) -> None:
    check_tenant(tenant)
    layout = Layout(tmp_path, tenant)
    assert Principal(tenant).tenant == tenant
    assert layout.own == (tmp_path / "tenants" / tenant if tenant else tmp_path)


@pytest.mark.parametrize(
    "tenant", [".", "..", ".a", "-a", "_a", "a/b", "../a", "a\\b", "a\n", "a b", "ä", "a\0", "x" * 65, " ", "~a", "a:b"]
)
def test_what_could_lead_elsewhere_is_no_tenants_name(tenant: str, tmp_path: Path) -> None:
    for named in (check_tenant, Principal, lambda name: Layout(tmp_path, name), Layout(tmp_path).of):
        with pytest.raises(InvalidInputError, match="is no tenant's name") as refused:
            named(tenant)
        assert refused.value.field == "tenant"


def test_tenants_share_what_is_the_servers_and_nothing_that_one_of_them_has(tmp_path: Path) -> None:
    own = ["datasets", "tables", "embeddings", "tokens", "models", "artifacts"]
    common = ["database", "encoders", "precision", "batch_sharing", "jobs"]
    layouts = [Layout(tmp_path).of(tenant) for tenant in ("", "a", "b")]
    assert all(len({getattr(layout, name) for layout in layouts}) == 3 for name in own)
    assert all(len({getattr(layout, name) for layout in layouts}) == 1 for name in common)
    sharing = [Layout(tmp_path, shared_content=True).of(tenant) for tenant in ("", "a", "b")]
    assert {layout.embeddings for layout in sharing} == {Layout(tmp_path).embeddings}
    assert [layout.datasets for layout in sharing] == [layout.datasets for layout in layouts]


def test_the_tenants_of_a_state_directory_are_those_that_have_a_folder(tmp_path: Path) -> None:
    assert Layout(tmp_path).everyone() == [Layout(tmp_path)]
    for name in ("b", "a", ".half", "no tenant"):
        (tmp_path / "tenants" / name).mkdir(parents=True)
    (tmp_path / "tenants" / "file").write_text("x")
    assert [layout.tenant for layout in Layout(tmp_path, "b").everyone()] == ["", "a", "b"]


def test_everything_lies_below_the_state_directory(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    names = ["database", "datasets", "tables", "embeddings", "tokens", "encoders", "models", "artifacts"]
    places = [*(getattr(layout, name) for name in names), layout.job("abc")]
    assert len(set(places)) == len(places)
    assert all(place.is_relative_to(tmp_path) for place in places)


def test_among_hundreds_of_names_the_nearest_is_found() -> None:
    names = [f"customer_satisfaction_{number}" for number in range(300)] + ["learning_rate", "индекс_клиентов"]
    for word, meant in (("laerning_rat", "learning_rate"), ("индекс_клинетов", "индекс_клиентов")):
        assert nearest(word, names) == meant
    assert nearest("customer_satisfacton_17", names) == "customer_satisfaction_17"
    assert nearest("zzzz", names) is None
