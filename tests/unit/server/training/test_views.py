"""Which stored view of a row an epoch draws depends on (seed, epoch, row) alone, and all are drawn alike."""

import torch
from headstart_server.training.views import Views
from hypothesis import given
from hypothesis import strategies as st

COUNT = 4


def _views(rows: int, seed: int = 0, count: int = COUNT) -> Views:
    """Every second row is a training row."""
    positions = torch.full((rows,), -1)
    positions[::2] = torch.arange(-(-rows // 2))
    return Views(torch.zeros(count * -(-rows // 2), 3), positions, seed, count)


def _drawn(views: Views, rows: torch.Tensor, epoch: int) -> torch.Tensor:
    return views.index(rows, epoch) // (len(views.values) // views.count)


@given(st.integers(0, 2**63 - 1), st.integers(1, 10_000), st.lists(st.integers(0, 99), min_size=1, max_size=20))
def test_a_draw_is_a_view_of_the_row_itself_whatever_shares_its_batch(seed: int, epoch: int, halves: list[int]) -> None:
    rows, views = 2 * torch.tensor(halves), _views(200, seed)
    found = views.index(rows, epoch)
    assert torch.equal(found % 100, views.positions[rows])
    assert torch.equal(torch.cat([views.index(row[None], epoch) for row in rows]), found)
    assert torch.equal(_drawn(_views(2_000, seed), rows, epoch), _drawn(views, rows, epoch))


def test_epochs_seeds_and_rows_draw_independently_and_every_view_as_often() -> None:
    rows = torch.arange(0, 20_000, 2)
    views = _views(20_000)
    draws = [
        _drawn(views, rows, 1),
        _drawn(views, rows, 2),
        _drawn(_views(20_000, 1), rows, 1),
        _drawn(views, rows, 11),
    ]
    for index, one in enumerate(draws):
        assert all(abs(int((one == view).sum()) - 2_500) < 250 for view in range(COUNT))
        assert abs(int((one[1:] == one[:-1]).sum()) - 2_500) < 250
        for two in draws[:index]:
            assert abs(int((one == two).sum()) - 2_500) < 250


def test_drawing_leaves_torchs_own_random_numbers_alone() -> None:
    state = torch.get_rng_state()
    _views(20).index(torch.arange(0, 20, 2), 1)
    assert torch.equal(torch.get_rng_state(), state)
