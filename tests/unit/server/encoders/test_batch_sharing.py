"""How rows may share a batch is measured, on models that we know everything about; and kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from headstart_server.encoders.batch_sharing import (
    ALONE,
    ONE_LENGTH,
    PADDED,
    BatchSharing,
    Measurements,
    UnsteadyError,
    measure_sharing,
)
from torch import Tensor

WORDS = 50
TABLE = torch.randn(WORDS, 6, generator=torch.Generator().manual_seed(1))


def _mixed(ids: Tensor, mask: Tensor | None) -> Tensor:
    """Every token with the mean of its row's."""
    weights = (torch.ones(ids.shape) if mask is None else mask.float())[:, :, None]
    return TABLE[ids] + (TABLE[ids] * weights).sum(1, keepdim=True) / weights.sum(1, keepdim=True)


def _deaf_to_masks(ids: Tensor, mask: Tensor | None) -> Tensor:
    return _mixed(ids, None)


def _between_rows(ids: Tensor, mask: Tensor | None) -> Tensor:
    return _mixed(ids, mask) + TABLE[ids].mean() * 5


def _of_three(ids: Tensor, mask: Tensor | None) -> Tensor:
    if ids.shape[1] < 3:
        raise IndexError("too short")
    return _mixed(ids, mask)


def _to_the_left(ids: Tensor, mask: Tensor | None) -> Tensor:
    return TABLE[ids].cumsum(1)


def _each_for_itself(ids: Tensor, mask: Tensor | None) -> Tensor:
    return TABLE[ids]


def _by_chance(ids: Tensor, mask: Tensor | None) -> Tensor:
    return _mixed(ids, mask) + torch.rand(1)


def _of_none(ids: Tensor, mask: Tensor | None) -> Tensor:
    raise ValueError("You have to specify bbox")


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (_mixed, BatchSharing(PADDED, 1, 6)),
        (_deaf_to_masks, BatchSharing(ONE_LENGTH, 1, 6)),
        (_between_rows, BatchSharing(ALONE, 1, 6)),
        (_of_three, BatchSharing(PADDED, 3, 6)),
        (_to_the_left, BatchSharing(PADDED, 1, 6, causal=True)),
    ],
)
def test_what_a_batch_may_hold_is_found(states: Callable[..., Tensor], expected: BatchSharing) -> None:
    assert measure_sharing(states, WORDS, 0) == expected
    assert measure_sharing(states, WORDS, 0, limit=12) == expected


@pytest.mark.parametrize(
    ("states", "words"), [(_each_for_itself, "attend"), (_by_chance, "random"), (_of_none, "specify bbox")]
)
def test_what_is_no_encoder_of_texts_is_refused_with_the_reason(states: Callable[..., Tensor], words: str) -> None:
    with pytest.raises(UnsteadyError, match=words):
        measure_sharing(states, WORDS, 0)


def test_a_leak_into_ordinary_dimensions_counts_beside_huge_ones() -> None:
    def leaking(ids: Tensor, mask: Tensor | None) -> Tensor:
        states = _mixed(ids, mask)
        states[:, :, 0] += 1e5
        states[:, :, 1:] += 1e-2 * TABLE[ids].mean((1, 2))[:, None, None]
        return states

    assert measure_sharing(leaking, WORDS, 0).rows == ONE_LENGTH


def test_a_pooler_that_reads_padding_counts_where_it_is_asked_for() -> None:
    def last(ids: Tensor, mask: Tensor | None) -> Tensor:
        return _mixed(ids, mask)[:, -1]

    assert measure_sharing(_mixed, WORDS, 0, pooled=last).rows == ONE_LENGTH
    assert measure_sharing(_mixed, WORDS, 0, pooled=lambda ids, mask: _mixed(ids, mask)[:, 0]).rows == PADDED


def test_an_encoder_is_measured_once_and_its_answer_kept(tmp_path: Path) -> None:
    calls: list[str] = []

    def measure() -> BatchSharing:
        calls.append("measured")
        return BatchSharing(ONE_LENGTH, 4, 8)

    own, another = Measurements(tmp_path / "kept"), Measurements(tmp_path / "kept")
    first = own.known("digest", False, measure)
    assert own.known("digest", False, measure) == another.known("digest", False, measure) == first
    assert len(calls) == 1
    assert own.known("another", False, measure) == own.known("digest", True, measure) == first
    assert len(calls) == 3


def test_an_answer_that_cannot_be_read_is_measured_again(tmp_path: Path) -> None:
    Measurements(tmp_path).known("digest", False, lambda: BatchSharing(ONE_LENGTH))
    (file,) = tmp_path.iterdir()
    for content in ("{", "[]", '{"rows": "nonsense"}', '{"unknown": 1}'):
        file.write_text(content)
        assert Measurements(tmp_path).known("digest", False, lambda: BatchSharing(ALONE)).rows == ALONE
