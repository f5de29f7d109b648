"""Splits rows into training, validation and test: seeded, reproducible, independent of the machine."""

import hashlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headstart_server.core.errors import InvalidInputError, invalid
from headstart_server.data.canonical import as_strings
from headstart_server.data.parts import Part, Parts
from headstart_server.data.tables import Table
from headstart_server.spec.model import SplitSpec

WORDS = {"train": 0, "training": 0, "0": 0, "validation": 1, "valid": 1, "val": 1, "dev": 1, "1": 1, "test": 2, "2": 2}


def assign(table: Table, split: SplitSpec, probabilities: list[float], seed: int) -> Parts:
    """The part of every row, int8 [rows]; raises InvalidInputError for absent columns and unknown words."""
    path = "preprocessing.split.column"
    if split.column is not None:
        table.require(split.column, path)
    match split.type:
        case "hash":
            return _by_hash(_strings(table, split.column), probabilities, seed)
        case "fixed":
            return _fixed(_strings(table, split.column), path)
        case "stratify":
            return _stratified(_strings(table, split.column), probabilities, seed)
        case _:
            return _random(table.row_count, probabilities, seed)


def keep_labels_in_training(
    parts: Parts, labels: npt.NDArray[np.int64], groups: npt.NDArray[np.int64] | None = None
) -> int:
    """Moves one row of each label that landed outside training alone into it. `labels` is int [rows], -1 missing.

    With `groups`, int [rows], the rows of that row's group go with it: a group is never torn. Returns how many moved.
    """
    before = int((parts == Part.TRAIN).sum())
    present = (labels >= 0) & (parts != Part.DROPPED)
    for label in np.unique(labels[present]):
        rows = np.flatnonzero(present & (labels == label))
        if (parts[rows] == Part.TRAIN).any():  # or a group that was moved for another label brought one
            continue
        moved = rows[:1] if groups is None else np.flatnonzero(groups == groups[rows[0]])
        parts[moved[parts[moved] != Part.DROPPED]] = Part.TRAIN
    return int((parts == Part.TRAIN).sum()) - before


def _strings(table: Table, column: str | None) -> pa.Array:
    assert column is not None
    try:
        return pa.concat_arrays([as_strings(values) for _, values in table.chunks(column)])
    except InvalidInputError as error:  # bytes that are no text
        raise invalid("preprocessing.split.column", f"column {column!r} {error.message}") from None


def _random(rows: int, probabilities: list[float], seed: int) -> Parts:
    """Each part as near to its probability as whole rows allow."""
    order = np.random.Generator(np.random.PCG64(seed)).permutation(rows)
    return _cut(order, np.rint(np.cumsum(probabilities) * rows))


def _cut(order: npt.NDArray[np.int64], edges: npt.NDArray[np.float64]) -> Parts:
    """Rows in a drawn order, cut into parts at three edges."""
    parts = np.empty(len(order), np.int8)
    # Rounding may let the last edge end early: rows beyond it are test rows.
    parts[order] = np.searchsorted(edges, np.arange(len(order)), side="right").clip(0, 2)
    return parts


def _stratified(values: pa.Array, probabilities: list[float], seed: int) -> Parts:
    """Each stratum as the whole. The fractions of rows that are left over go where a draw says, so that strata of a few
    rows do not all end up in training."""
    codes = pc.fill_null(values.dictionary_encode().indices, -1).to_numpy(zero_copy_only=False)
    parts = np.empty(len(values), np.int8)
    for code in np.unique(codes):
        rows = np.flatnonzero(codes == code)
        generator = np.random.Generator(np.random.PCG64([seed, int(code) + 1]))
        edges = np.floor(np.cumsum(probabilities) * len(rows) + generator.random())
        parts[rows] = _cut(generator.permutation(len(rows)), edges)
    return parts


def _by_hash(values: pa.Array, probabilities: list[float], seed: int) -> Parts:
    """Equal values always land in the same part, whatever else the data holds."""
    key = seed.to_bytes(8, "little")
    digests = b"".join(
        hashlib.blake2b((text or "").encode(), digest_size=8, key=key).digest() for text in values.to_pylist()
    )
    # As float64 the largest digests are 1.0, which lies beyond the last edge: hence the clip.
    uniform = np.frombuffer(digests, np.uint64).astype(np.float64) / 2.0**64
    return np.searchsorted(np.cumsum(probabilities), uniform, side="right").clip(0, 2).astype(np.int8)


def _fixed(values: pa.Array, path: str) -> Parts:
    parts = np.empty(len(values), np.int8)
    for row, text in enumerate(values.to_pylist()):
        part = WORDS.get((text or "").strip().lower())
        if part is None:
            raise invalid(path, f"row {row + 1} holds {text!r}; use train, validation, test or 0, 1, 2")
        parts[row] = part
    return parts
