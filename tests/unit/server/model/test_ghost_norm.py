"""Ghost batch norm is torch's own BatchNorm1d, chunk by chunk."""

import itertools

import pytest
import torch
from headstart_server.model.ghost_norm import GhostBatchNorm1d
from headstart_server.model.layers import norm_layer
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

WIDTH = 3


def _rows(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(seed)) * 3 + 1


def _chunks(rows: torch.Tensor, size: int) -> list[torch.Tensor]:
    """Chunks as promised: a last one of a single row joins the one before."""
    edges = [*list(range(0, len(rows), size)), len(rows)]
    if len(edges) > 2 and edges[-1] - edges[-2] == 1:
        del edges[-2]
    return [rows[start:end] for start, end in itertools.pairwise(edges)]


@given(st.integers(2, 40), st.integers(2, 12))
def test_each_virtual_batch_is_normalised_by_batch_norm(count: int, size: int) -> None:
    ghost, plain = GhostBatchNorm1d(WIDTH, size), nn.BatchNorm1d(WIDTH)
    nn.init.uniform_(ghost.norm.weight)
    plain.load_state_dict(ghost.norm.state_dict())
    rows = _rows(count)
    expected = torch.cat([plain(chunk) for chunk in _chunks(rows, size)])
    assert torch.allclose(ghost(rows), expected, atol=1e-6)
    for name, value in plain.state_dict().items():
        assert torch.allclose(ghost.norm.state_dict()[name].double(), value.double(), atol=1e-6), name


def test_a_batch_of_one_chunk_is_batch_norm() -> None:
    ghost, plain = norm_layer("batch", WIDTH, 4), nn.BatchNorm1d(WIDTH)
    assert torch.equal(ghost(_rows(50)), plain(_rows(50)))


def test_evaluation_uses_running_statistics() -> None:
    ghost, plain = GhostBatchNorm1d(WIDTH, 8), nn.BatchNorm1d(WIDTH)
    for seed in range(3):
        ghost(_rows(20, seed))
    plain.load_state_dict(ghost.norm.state_dict())
    assert torch.equal(ghost.eval()(_rows(1)), plain.eval()(_rows(1)))
    assert torch.equal(ghost(_rows(9)), plain(_rows(9)))


def test_a_single_training_row_passes_through_with_running_statistics_and_changes_none() -> None:
    ghost = GhostBatchNorm1d(WIDTH, 8)
    ghost(_rows(20))
    before = {name: value.clone() for name, value in ghost.state_dict().items()}
    alone = ghost(_rows(1, 5))
    assert torch.isfinite(alone).all()
    assert torch.equal(alone, ghost.eval()(_rows(1, 5)))
    assert all(torch.equal(value, before[name]) for name, value in ghost.state_dict().items())


def test_gradients_flow_within_a_virtual_batch_only() -> None:
    rows = _rows(12).requires_grad_()
    GhostBatchNorm1d(WIDTH, 4)(rows)[:4].square().sum().backward()
    assert rows.grad is not None
    assert rows.grad[:4].abs().sum() > 0
    assert rows.grad[4:].abs().sum() == 0


@pytest.mark.parametrize(("name", "kind"), [("layer", nn.LayerNorm), ("none", nn.Identity)])
def test_other_norms_are_torchs(name: str, kind: type[nn.Module]) -> None:
    assert isinstance(norm_layer(name, WIDTH, 4), kind)
