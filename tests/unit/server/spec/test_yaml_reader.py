"""The YAML reader takes whatever somebody sends and answers with a mapping or with an InvalidInputError."""

from typing import Any

import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.spec.parse import parse_yaml
from headstart_server.spec.yaml_reader import MAX_BYTES, MAX_DEPTH, read_yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

WORDS = (
    "a b input_features name: type : - ? , [ ] { } \n \t | > ' \" # & * &x *x << = % @ ` ! !! !!bool !!int !!float "
    "!!null !!set !!omap !!pairs !!binary !!timestamp !!merge !!str !!map !!seq !!python/object:os.system --- ... "
    "1 1e5 .inf .nan 0x10 1:30 true auto ~ \\uD800 \\UFFFFFFFF \0 \ud800 é"
)
TOKENS = st.sampled_from([*WORDS.split(" "), " ", "\n", "\n  ", "\n    ", ": ", "- ", "? "])


def _answer(text: str) -> dict[str, Any] | None:
    try:
        return read_yaml(text)
    except InvalidInputError as error:
        assert error.violations[0].field == "spec_yaml"
        return None


@given(st.text())
def test_arbitrary_text_is_read_or_refused(text: str) -> None:
    _answer(text)


@settings(max_examples=400)
@given(st.lists(TOKENS, max_size=25).map("".join))
@example("? [a, b] : c")
@example("? {a: b}\n: c")
@example("!!bool maybe")
@example("!!timestamp yesterday")
@example('a: "\\UFFFFFFFF"')
@example('a: "\\uD800"')
@example("? !!binary aGk=\n: 1")
@example("{1: 2, null: 3}")
def test_arbitrary_yaml_is_parsed_or_refused_in_words_that_can_be_sent(text: str) -> None:
    _answer(text)
    try:
        parse_yaml(text)
    except InvalidInputError as error:
        for violation in error.violations:
            violation.field.encode()
            violation.message.encode()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5),
        ("1.5", 1.5),
        ("-3", -3),
        ("+3", 3),
        ("0123", 123),
        ("true", True),
        ("FALSE", False),
        ("no", "no"),
        ("on", "on"),
        ("1:30", "1:30"),
        ("2020-01-01", "2020-01-01"),
        ("0x1f", "0x1f"),
        ("~", None),
        ("", None),
        ("'1'", "1"),
        ("=", "="),
        ("<<", "<<"),
        (".5", 0.5),
        ("1_000", "1_000"),
        ("99999999999999999999999", 1e23),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    found = read_yaml(f"a: {text}")["a"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 10_000,
        "a: " + "[" * 10_000 + "]" * 10_000,
        "\n".join("  " * depth + "a:" for depth in range(MAX_DEPTH + 5)),
        "- " * 10_000,
        "a: &x 1\nb: *x",
        "a: 1\na: 2",
        "a: [" + "1, " * 60_000 + "]",
        "a: '" + "x" * MAX_BYTES + "'",
        "just words",
        "- a list",
        "",
        "a: !!python/object/apply:os.system [true]",
        "a: b: c",
    ],
)
def test_what_no_spec_needs_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        read_yaml(text)


def test_an_error_names_line_and_column() -> None:
    with pytest.raises(InvalidInputError, match="line 2, column 4"):
        read_yaml("a: 1\nb: ]")


def test_a_repeated_key_is_named_with_its_place() -> None:
    with pytest.raises(InvalidInputError, match="line 3, column 1: key 'a' is repeated"):
        read_yaml("a: 1\nb: 2\na: 3")


def test_pairs_of_halves_are_joined_as_json_means_them() -> None:
    assert read_yaml('"\\ud83d\\ude00": ["x \\uD83D\\uDE00"]') == {"😀": ["x 😀"]}


@pytest.mark.parametrize("escape", ["\\ud83d", "\\ude00", "\\ude00\\ud83d", "\\ud83dx"])
def test_half_a_character_is_refused_with_its_place(escape: str) -> None:
    with pytest.raises(InvalidInputError, match=r"line 2, column 4: .* holds half a character .*both halves"):
        read_yaml(f'a: 1\nb: "{escape}"')
