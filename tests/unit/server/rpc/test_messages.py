"""Pages: every item once, and no token but those that were given out."""

from __future__ import annotations

import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.rpc.messages import check_length, page, page_start, page_token

ITEMS = [f"{number:03}" for number in reversed(range(25))]


def read(size: int, items: list[str] = ITEMS) -> list[list[str]]:
    pages, token = [], ""
    while True:
        found, token = page(items, str, size, token)
        pages.append(found)
        if not token:
            return pages


@pytest.mark.parametrize(("size", "lengths"), [(10, [10, 10, 5]), (5, [5] * 5), (25, [25]), (0, [25]), (5_000, [25])])
def test_pages_hold_every_item_once_and_the_last_has_no_token(size: int, lengths: list[int]) -> None:
    pages = read(size)
    assert [item for found in pages for item in found] == ITEMS
    assert [len(found) for found in pages] == lengths


def test_a_page_goes_on_where_the_last_item_was_even_if_that_is_gone() -> None:
    first, token = page(ITEMS, str, 10, "")
    assert page([item for item in ITEMS if item != first[-1]], str, 10, token)[0] == ITEMS[10:20]


@pytest.mark.parametrize("last", ["01m805kdytsxwg9b7ztn", "my-model", "1763765432.123456 a~b", ""])
def test_a_token_stands_for_its_item(last: str) -> None:
    assert page_start(page_token(last)) == (last or None)
    assert page_start("") is None


@pytest.mark.parametrize(
    "token",
    ["x", "~", "01m805kdytsxwg9b7ztn", "models/m1", page_token("m1") + "0", "m2" + page_token("m1")[2:], "ü~\n"],
)
def test_a_made_up_token_is_refused_by_name(token: str) -> None:
    with pytest.raises(InvalidInputError, match="next_page_token") as refused:
        page(ITEMS, str, 10, token)
    assert refused.value.field == "page_token"


def test_a_negative_page_is_refused_by_name() -> None:
    with pytest.raises(InvalidInputError) as refused:
        page(ITEMS, str, -1, "")
    assert refused.value.field == "page_size"


def test_a_name_is_refused_one_character_above_its_limit() -> None:
    check_length("display_name", "x" * 128, 128)
    with pytest.raises(InvalidInputError, match="is 129 characters long; use at most 128") as refused:
        check_length("display_name", "x" * 129, 128)
    assert refused.value.field == "display_name"
    with pytest.raises(InvalidInputError, match="display_name: holds the character NUL"):
        check_length("display_name", "a\0b", 128)
