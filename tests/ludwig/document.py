"""Writes docs/ludwig.md from the tables of spellings: `python -m tests.ludwig.document`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from headstart_server.spec.ludwig import unsupported_keys
from headstart_server.spec.ludwig.rewriting import Spelling
from headstart_server.spec.ludwig.table import SPELLINGS

PATH = Path(__file__).parents[2] / "docs" / "ludwig.md"

_TEXT = """# Ludwig's files

A spec has the key names and meanings of Ludwig's schema. Files of its versions 0.4 to 0.10 whose inputs are text,
image, number, category, binary, set or vector are read as they are; what they write otherwise than the spec does is
one table, and this page is written from it (`python -m tests.ludwig.document`; a test holds both equal).

    headstart plan old.yaml                  --write new.yaml    # convert a file
    headstart plan old.yaml --data train.csv --write new.yaml    # and see what it would train

The new file is in the current spelling, with what was read otherwise than written as comments; it plans to the same
plan, without a warning. No file is replaced without `--overwrite`. Nothing is silent:

* **read as**: the key has a meaning here under another name or in another place. A job and a plan warn of it
  (`SPELLING`).
* **no effect**: what the key asks for is what happens anyway, or cannot change what is trained; told in the same way.
  Where it is said for some values, others are refused.
* **refused**: INVALID_ARGUMENT at the path of the file, with what to use instead.

A mistake in something that was read elsewhere is told at the path of the file, too: `training.epochs: ... (read as
trainer.epochs)`. Two spellings of one setting with different values are refused. Typed specs (`TrainJobRequest.spec`)
have one spelling, that of `protos/headstart/v1/spec.proto`.

What is left out is `auto` here, and not Ludwig's default: pretrained encoders are frozen and their embeddings stored,
and the epochs, batch size and learning rate follow from the data. `headstart plan` says what each value becomes, and
why.

## Keys that are read

*Until* is the version of Ludwig that renamed the key. `defaults.*` is any type.

| where | key | here | until |
|---|---|---|---|
{spellings}

## Words that are refused

| where | words | instead |
|---|---|---|
{words}

## Keys that are refused

Wherever they stand, unless the first table reads them there.

| keys | instead |
|---|---|
{keys}
"""


def document() -> str:
    """The page."""
    return _TEXT.format(spellings=_spellings(), words=_words(), keys=_keys())


def _spellings() -> str:
    places: dict[tuple[str, str, str], list[str]] = {}
    for row in SPELLINGS:
        found = places.setdefault((row.key, _meaning(row), row.until), [])
        if (place := _place(row.section)) not in found:
            found.append(place)
    keys: dict[tuple[str, str, str], list[str]] = {}
    for (key, meaning, until), found in places.items():
        keys.setdefault((", ".join(found), meaning, until), []).append(f"`{key}`")
    return "\n".join(
        f"| {where} | {', '.join(found)} | {meaning} | {until} |" for (where, meaning, until), found in keys.items()
    )


def _meaning(row: Spelling) -> str:
    """What a row means; keys that keep their names in another section share one line."""
    moved = re.fullmatch(rf"`([\w.]+)\.{row.key}`", row.meaning)
    return f"`{moved[1]}.…`" if moved else row.meaning


def _place(section: str) -> str:
    return "`" + re.sub(r"defaults\.\w+", "defaults.*", section) + "`" if section else "the file"


def _words() -> str:
    tables = {
        "`type` of inputs": unsupported_keys.INPUT_TYPES,
        "`type` of outputs": unsupported_keys.OUTPUT_TYPES,
        **{f"`encoder.type` of {kind} inputs": words for kind, words in unsupported_keys.ENCODERS.items()},
        "`combiner.type`": unsupported_keys.COMBINERS,
        "`loss.type`": unsupported_keys.LOSSES,
        "`missing_value_strategy`": unsupported_keys.MISSING_VALUES,
    }
    return "\n".join(
        f"| {where} | {words} | {use} |" for where, table in tables.items() for words, use in _by_use(table)
    )


def _keys() -> str:
    return "\n".join(f"| {keys} | {use} |" for keys, use in _by_use(unsupported_keys.KEYS))


def _by_use(table: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    words: dict[str, list[str]] = {}
    for word, use in table.items():
        words.setdefault(use, []).append(f"`{word}`")
    return [(", ".join(found), use) for use, found in words.items()]


if __name__ == "__main__":
    PATH.write_text(document())
