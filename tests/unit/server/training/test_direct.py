"""The direct step is torch's own step: same weights, same state, whatever group or missing gradient."""

import copy

import pytest
import torch
from headstart_server.training.direct import DirectAdam
from torch import nn


def _groups(model: nn.Module) -> list[dict[str, object]]:
    first, second = model.children()
    return [
        {"params": list(first.parameters()), "lr": 1e-2, "weight_decay": 0.1},
        {"params": list(second.parameters()), "lr": 1e-3, "weight_decay": 0.0},
    ]


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
@pytest.mark.parametrize("silent", [None, 0, 3])
def test_the_direct_step_is_torchs_own(kind: type[torch.optim.Adam], silent: int | None) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3))
    other = copy.deepcopy(model)
    expected = kind(_groups(model), fused=True, betas=(0.8, 0.95), eps=1e-6)
    optimizer = kind(_groups(other), fused=True, betas=(0.8, 0.95), eps=1e-6)
    assert DirectAdam.suits(optimizer)
    direct = DirectAdam(optimizer)
    for step in range(8):
        inputs = torch.randn(6, 5)
        for network in (model, other):
            network.zero_grad()
            network(inputs).square().mean().backward()
            if step == silent:
                next(iter(network.parameters())).grad = None
        for group in (*expected.param_groups, *optimizer.param_groups):
            group["lr"] *= 0.9
        expected.step()
        direct.step()
    for mine, theirs in zip(other.parameters(), model.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    states, others = expected.state_dict()["state"], optimizer.state_dict()["state"]
    assert states.keys() == others.keys()
    for index, state in states.items():
        assert all(torch.equal(value, others[index][name]) for name, value in state.items())


def test_a_parameter_that_never_gets_a_gradient_is_left_alone_and_has_no_state() -> None:
    used, unused = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([used, unused], fused=True)
    direct = DirectAdam(optimizer)
    for _ in range(3):
        used.grad = torch.ones(2)
        direct.step()
    assert torch.equal(unused, torch.ones(2)) and not torch.equal(used, torch.ones(2))
    assert list(optimizer.state_dict()["state"]) == [0]


def test_other_optimizers_step_by_themselves() -> None:
    parameters = [nn.Parameter(torch.zeros(2))]
    assert DirectAdam.suits(torch.optim.AdamW(parameters, fused=True))
    assert not DirectAdam.suits(torch.optim.AdamW(parameters, fused=True, amsgrad=True))
    assert not DirectAdam.suits(torch.optim.AdamW(parameters, fused=False))
    assert not DirectAdam.suits(torch.optim.SGD(parameters, fused=True))
    mixed = [*parameters, nn.Parameter(torch.zeros(2, dtype=torch.float64))]
    assert not DirectAdam.suits(torch.optim.AdamW(mixed, fused=True))
