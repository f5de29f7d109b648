"""Pooling gives for each row what plain torch gives for that row without its padding."""

from collections.abc import Callable

import pytest
import torch
from headstart_server.encoders.pooling import REDUCTIONS, pool
from hypothesis import given
from hypothesis import strategies as st

PLAIN: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "cls": lambda hidden: hidden[0],
    "last": lambda hidden: hidden[-1],
    "mean": lambda hidden: hidden.mean(0),
    "sum": lambda hidden: hidden.sum(0),
    "max": lambda hidden: hidden.amax(0),
}


def test_every_reduction_but_the_models_own_is_tested() -> None:
    assert set(PLAIN) == set(REDUCTIONS) - {"cls_pooled"}


@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.sampled_from(sorted(PLAIN)), st.integers(0, 3))
def test_padding_is_masked_out(lengths: list[int], reduction: str, extra: int) -> None:
    generator = torch.Generator().manual_seed(sum(lengths))
    hidden = torch.randn(len(lengths), max(lengths) + extra, 4, generator=generator)
    mask = (torch.arange(hidden.shape[1]) < torch.tensor(lengths)[:, None]).long()
    expected = torch.stack([PLAIN[reduction](hidden[row, :length]) for row, length in enumerate(lengths)])
    assert torch.allclose(pool(hidden, mask, reduction), expected, atol=1e-6)
    poisoned = hidden.masked_fill(mask[:, :, None] == 0, 1e30)
    assert torch.allclose(pool(poisoned, mask, reduction), expected, atol=1e-6) or reduction in ("mean", "sum")


@pytest.mark.parametrize("reduction", sorted(PLAIN))
def test_without_a_mask_every_token_counts(reduction: str) -> None:
    hidden = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(pool(hidden, None, reduction), pool(hidden, torch.ones(3, 5).long(), reduction), atol=1e-6)


@pytest.mark.parametrize("reduction", sorted(PLAIN))
def test_the_type_is_kept_and_sums_are_exact_in_it(reduction: str) -> None:
    hidden = torch.full((1, 300, 2), 1.0, dtype=torch.bfloat16)
    for mask in (None, torch.ones(1, 300).long()):
        found = pool(hidden, mask, reduction)
        assert found.dtype == torch.bfloat16
        assert found[0, 0].item() == (300.0 if reduction == "sum" else 1.0)
