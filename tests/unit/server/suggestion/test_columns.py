"""What columns are taken for: types from their cells, each with its reason."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.core.reasons import ColumnReason, Reason
from headstart_server.suggestion.columns import judge_input, judge_target

from tests.unit.server.suggestion.conftest import profiled

N = 400
DRAWN = random.Random(3)
WORDS = (
    *("amber", "bold", "crisp", "dull", "early", "fresh", "grand", "humble", "idle", "jolly"),
    *("keen", "late", "mild", "neat", "old", "plain", "quiet", "rare", "slow", "tall"),
)


def drawn(make: Callable[[int], Any]) -> list[Any]:
    return [make(number) for number in range(N)]


def phrase(_: int) -> str:
    return " ".join(DRAWN.choices(WORDS, k=DRAWN.randint(3, 9))) + f" {DRAWN.random()}"


INPUTS = {
    "phrases": (drawn(phrase), "text", ColumnReason.FREE_TEXT),
    "phrases, some missing": (drawn(lambda i: None if i % 3 else phrase(i)), "text", ColumnReason.FREE_TEXT),
    "names of one word": (drawn(lambda i: WORDS[i % 20] + WORDS[i // 20]), "text", ColumnReason.FREE_TEXT),
    "a script without spaces": (
        drawn(lambda i: "这家餐厅的菜很好吃" + chr(0x4E00 + i)),
        "text",
        ColumnReason.FREE_TEXT,
    ),
    "few words": (drawn(lambda i: WORDS[i % 5]), "category", ColumnReason.FEW_VALUES),
    "few phrases": (drawn(lambda i: f"a rather long kind of {WORDS[i % 4]}"), "category", ColumnReason.FEW_VALUES),
    "many words that repeat": (drawn(lambda i: WORDS[i % 20] + WORDS[i % 3]), "category", ColumnReason.FEW_VALUES),
    "few whole numbers": (drawn(lambda i: i % 3 + 1), "category", ColumnReason.FEW_VALUES),
    "few counts": (drawn(lambda i: i % 4), "number", ColumnReason.NUMBERS),
    "yes and no": (drawn(lambda i: "Yes" if i % 3 else "no"), "binary", ColumnReason.TWO_VALUES),
    "0 and 1": (drawn(lambda i: str(i % 2)), "binary", ColumnReason.TWO_VALUES),
    "booleans": (drawn(lambda i: i % 2 == 0), "binary", ColumnReason.TWO_VALUES),
    "numbers": (drawn(lambda i: i * 0.37), "number", ColumnReason.NUMBERS),
    "numbers as text, with holes": (
        drawn(lambda i: ["NA", "", "-", None][i // 7 % 4] if i % 7 == 0 else f"{i * 1.5:.2f}"),
        "number",
        ColumnReason.NUMBERS,
    ),
    "counts": (drawn(lambda i: i % 40), "number", ColumnReason.NUMBERS),
    "numbers in powers of ten": (drawn(lambda i: f"{i + 1}e-3"), "number", ColumnReason.NUMBERS),
    "items": (
        drawn(lambda i: ";".join(DRAWN.sample(WORDS[:8], k=1 + i % 3))),
        "set",
        ColumnReason.ITEMS,
    ),
    "lists": (drawn(lambda i: DRAWN.sample(WORDS[:8], k=1 + i % 3)), "set", ColumnReason.ITEMS),
    "vectors as text": (drawn(lambda i: f"[{i * 0.5}, {i}, -1e-3]"), "vector", ColumnReason.VECTORS),
    "vectors": (drawn(lambda i: [i * 0.5, 1.0, 2.0]), "vector", ColumnReason.VECTORS),
    "vectors without brackets": (drawn(lambda i: f"{i * 0.5} {i} -1e-3"), "vector", ColumnReason.VECTORS),
    "places on a map": (drawn(lambda i: f"{i * 0.5 + 0.1}, -0.1278"), "vector", ColumnReason.VECTORS),
    "long vectors of whole numbers": (
        drawn(lambda i: " ".join(str(i + k) for k in range(9))),
        "vector",
        ColumnReason.VECTORS,
    ),
    "numbers with thousands' commas": (
        drawn(lambda i: f"{i * 37:,}"),
        "",
        ColumnReason.NUMBERS_AND_WORDS,
    ),
    "numbers with decimal commas": (drawn(lambda i: f"{i},{i % 10}"), "", ColumnReason.NUMBERS_AND_WORDS),
    "prices with signs": (drawn(lambda i: f"${i * 3}.50"), "", ColumnReason.NUMBERS_AND_WORDS),
    "shares in per cent": (drawn(lambda i: f"{i / 7:.1f} %"), "", ColumnReason.NUMBERS_AND_WORDS),
    "telephone numbers": (drawn(lambda i: f"555 {1000 + i}"), "", ColumnReason.IDENTIFIER),
    "ages and one word": (drawn(lambda i: "unknown" if i == 7 else str(i % 70)), "", ColumnReason.NUMBERS_AND_WORDS),
    "hardly any cell": (drawn(lambda i: "blue" if i == 3 else None), "", ColumnReason.EMPTY),
    "bytes": (drawn(lambda i: b"\x89PNG" + bytes([i % 251])), "image", ColumnReason.IMAGES),
    "paths of images": (drawn(lambda i: f"photos/{i}.JPG"), "image", ColumnReason.IMAGES),
    "nothing": (drawn(lambda i: None), "", ColumnReason.EMPTY),
    "words for missing numbers": (drawn(lambda i: ["NA", "n/a"][i % 2]), "", ColumnReason.EMPTY),
    "one value": (drawn(lambda i: "shop"), "", ColumnReason.CONSTANT),
    "numbers of rows": (drawn(lambda i: i + 1_000), "", ColumnReason.IDENTIFIER),
    "codes, each once": (drawn(lambda i: f"A-{i:05d}"), "", ColumnReason.IDENTIFIER),
    "codes that hardly repeat": (drawn(lambda i: f"C{i * 7 % 250}"), "", ColumnReason.CODES),
    "dates": (drawn(lambda i: f"2024-0{i % 9 + 1}-1{i % 9}"), "", ColumnReason.DATES),
    "moments": (drawn(lambda i: f"1{i % 9}.0{i % 9 + 1}.2024 12:0{i % 9}"), "", ColumnReason.DATES),
    "numbers but for some": (
        drawn(lambda i: "see note" if i % 50 == 0 else str(i * 3)),
        "",
        ColumnReason.NUMBERS_AND_WORDS,
    ),
}


@pytest.mark.parametrize("case", INPUTS)
def test_what_an_input_is_taken_for(case: str) -> None:
    cells, kind, reason = INPUTS[case]
    found = judge_input(profiled(cells))
    assert (found.type, found.reason) == (kind, reason), found.evidence
    assert found.evidence


def test_whole_numbers_that_each_occur_once_are_identifiers_by_their_name() -> None:
    apart = [number * 977 for number in range(N)]
    assert judge_input(profiled(apart, "customer_id")).reason is ColumnReason.IDENTIFIER
    assert judge_input(profiled(apart, "income")).reason is ColumnReason.NUMBERS
    assert judge_input(profiled(apart, "humid")).reason is ColumnReason.NUMBERS


def test_paths_that_lead_to_no_file_are_left_out() -> None:
    found = judge_input(profiled([f"{number}.png" for number in range(N)]), images_found=False)
    assert (found.type, found.reason) == ("", ColumnReason.IMAGES_NOT_FOUND)


def test_a_value_beside_empty_cells_is_no_constant() -> None:
    assert judge_input(profiled(drawn(lambda i: "sold" if i % 2 else None))).type == "category"


@pytest.mark.parametrize("separator", [";", "|", ","])
def test_items_are_taken_apart_at_their_separator(separator: str) -> None:
    cells = drawn(lambda i: separator.join(f"{word} one" for word in DRAWN.sample(WORDS[:6], k=2 + i % 2)))
    assert judge_input(profiled(cells)).settings == {"preprocessing": {"separator": separator}}


TARGETS = {
    "classes": (drawn(lambda i: WORDS[i % 6]), "category"),
    "two classes": (drawn(lambda i: ["ham", "spam"][i % 2]), "category"),
    "0 and 1": (drawn(lambda i: i % 2), "binary"),
    "stars": (drawn(lambda i: i % 5 + 1), "category"),
    "two numbers": (drawn(lambda i: [3, 7][i % 2]), "category"),
    "prices": (drawn(lambda i: i * 1.25), "number"),
    "counts": (drawn(lambda i: i % 90), "number"),
    "tags": (drawn(lambda i: DRAWN.sample(WORDS[:6], k=1 + i % 3)), "set"),
    "vectors": (drawn(lambda i: [float(i), 1.0]), "vector"),
}


@pytest.mark.parametrize("case", TARGETS)
def test_what_a_target_is_taken_for(case: str) -> None:
    cells, kind = TARGETS[case]
    assert judge_target(profiled(cells), "targets[0]").type == kind


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (drawn(phrase), Reason.NO_REPEATED_LABEL),
        (drawn(lambda i: "same"), Reason.ONE_CLASS_ONLY),
        (drawn(lambda i: None), Reason.ALL_MISSING),
        (drawn(lambda i: f"{i}.jpg"), Reason.BAD_COLUMN),
        (drawn(lambda i: bytes([i % 256, 1])), Reason.BAD_COLUMN),
    ],
)
def test_what_cannot_be_predicted_is_refused(cells: list[Any], reason: Reason) -> None:
    with pytest.raises(InvalidInputError, match=r"targets\[1\]: column 'column'") as refused:
        judge_target(profiled(cells), "targets[1]")
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (drawn(lambda i: f"{i * 37:,}"), r"numbers written with marks, as '1,"),
        (drawn(lambda i: f"{i},{i % 10}"), r"numbers written with marks, as '0,0'"),
        (
            drawn(lambda i: "TBD" if i == 9 else str(i % 70)),
            r"numbers but for some, as 'TBD'; write every number plainly",
        ),
    ],
)
def test_numbers_that_cannot_be_read_are_no_classes_to_predict(cells: list[Any], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        judge_target(profiled(cells), "targets[0]")


@pytest.mark.parametrize(
    "values", [("0", "1", "NA"), ("yes", "no", "?"), ("0", "1", "2", "3", "n/a"), ("true", "false", "null")]
)
def test_a_word_for_a_missing_value_is_no_class_to_predict(values: tuple[str, ...]) -> None:
    """A model would say that it is missing; of numbers that are predicted as such, it is."""
    cells = drawn(lambda i: values[-1] if i % 9 == 0 else values[i % (len(values) - 1)])
    with pytest.raises(InvalidInputError, match=f"holds '{re.escape(values[-1])}' beside .*leave cells empty"):
        judge_target(profiled(cells), "targets[0]")
    assert judge_target(profiled([None if cell == values[-1] else cell for cell in cells]), "targets[0]").type
    assert judge_target(profiled(drawn(lambda i: "NA" if i % 9 == 0 else str(i / 7))), "targets[0]").type == "number"
    assert judge_target(profiled(drawn(lambda i: ("EU", "AS", "NA")[i % 3])), "targets[0]").type == "category"


def test_images_that_are_broken_or_not_there_do_not_end_the_suggested_job() -> None:
    for cells in (drawn(lambda i: f"photos/{i}.jpg"), drawn(lambda i: b"\x89PNG" + bytes([i % 251]))):
        assert judge_input(profiled(cells)).settings == {"preprocessing": {"bad_image_policy": "drop"}}
