"""A penalty's gradient is that of the term of the loss that it stands for."""

import pytest
import torch
from headstart_server.spec.training_sections import OptimizerSpec
from headstart_server.training.penalty import Penalty

from tests.support.training import Run, settings_of


@pytest.mark.parametrize("kind", ["l1", "l2", "l1_l2"])
def test_the_gradient_is_that_of_the_term_in_the_loss(kind: str) -> None:
    values = torch.tensor([[1.0, -2.0], [0.0, 0.5]])
    ours, theirs = torch.nn.Parameter(values.clone()), torch.nn.Parameter(values.clone())
    ours.grad = torch.ones(2, 2)
    penalty = Penalty.of(kind, 0.3)
    assert penalty is not None
    penalty.add_gradients([ours])
    terms = {"l1": theirs.abs().sum(), "l2": theirs.square().sum()}
    penalised = theirs.sum() + 0.3 * torch.stack([terms[name] for name in kind.split("_")]).sum()
    torch.autograd.backward(penalised)
    assert theirs.grad is not None
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_nothing_is_added_where_there_is_no_gradient_or_no_weight() -> None:
    parameter = torch.nn.Parameter(torch.ones(2))
    Penalty(l1=1.0).add_gradients([parameter])
    assert parameter.grad is None
    assert Penalty.of("l2", 0.0) is None


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_heavy_penalty_leaves_small_weights_in_any_precision(precision: str) -> None:
    def size(penalty: Penalty | None) -> float:
        run = Run(
            settings_of(epochs=9, penalty=penalty), precision=precision, optimizer=OptimizerSpec(type="sgd"), warmup=0
        )
        loop = run.loop()
        loop.run()
        return sum(float(parameter.detach().abs().sum()) for parameter in loop.model.parameters())

    assert size(Penalty(l2=5.0)) < size(Penalty(l2=1.0)) < size(None)


def test_accumulated_batches_are_penalised_once() -> None:
    def trained(**changes: int) -> dict[str, torch.Tensor]:
        run = Run(settings_of(epochs=2, penalty=Penalty(l2=0.1), **changes), optimizer=OptimizerSpec(type="sgd"))
        loop = run.loop()
        loop.run()
        return loop.model.learned_state()

    one, other = trained(batch_size=32), trained(batch_size=8, accumulation=4)
    assert all(torch.allclose(value, other[name], atol=1e-6) for name, value in one.items())
