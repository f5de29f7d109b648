"""Rates rise and fall as named; every optimizer is torch's own, with the groups and options asked for."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from headstart_server.encoders.tuning import Tuning
from headstart_server.model.ecd import ECD, PretrainedInput
from headstart_server.spec.model import CombinerSpec
from headstart_server.spec.training_sections import OptimizerSpec
from headstart_server.training.optimizer import OPTIMIZERS, build_optimizer, set_rates
from headstart_server.training.precision import Precision
from headstart_server.training.schedule import Schedule
from hypothesis import given
from hypothesis import strategies as st

from tests.support.training import Run, settings_of

DECAYS = st.sampled_from(["constant", "linear", "cosine", "polynomial", "exponential"])


@given(st.integers(1, 500), st.integers(1, 50), st.floats(0, 1), DECAYS, st.floats(0.01, 1))
def test_the_factor_stays_between_nothing_and_the_peak(
    total: int, per_epoch: int, warmup: float, decay: str, rate: float
) -> None:
    schedule = Schedule(total, per_epoch, warmup, decay, rate)
    factors = [schedule.factor(step) for step in range(total)]
    assert all(0 < factor <= 1 or (factor == 0 and decay == "exponential") for factor in factors)
    rising = round(warmup * total)
    assert factors[:rising] == sorted(factors[:rising])
    assert factors[rising:] == sorted(factors[rising:], reverse=True)
    if rising < total:
        assert factors[rising] == 1


def _transformers(decay: str, total: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = {
        "linear": transformers.get_linear_schedule_with_warmup(optimizer, 0, total),
        "cosine": transformers.get_cosine_schedule_with_warmup(optimizer, 0, total),
        "polynomial": transformers.get_polynomial_decay_schedule_with_warmup(
            optimizer, 0, total, lr_end=1e-12, power=2.0
        ),
        "constant": transformers.get_constant_schedule(optimizer),
    }[decay]
    found = []
    for _ in range(total):
        found.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return found


@pytest.mark.parametrize("decay", ["linear", "cosine", "polynomial", "constant"])
def test_decay_is_that_of_transformers(decay: str) -> None:
    schedule = Schedule(37, 10, 0.0, decay, 0.9)
    assert [schedule.factor(step) for step in range(37)] == pytest.approx(_transformers(decay, 37), abs=1e-9)


def test_exponential_decay_multiplies_once_per_epoch() -> None:
    schedule = Schedule(30, 10, 0.0, "exponential", 0.5)
    assert [schedule.factor(step) for step in (0, 10, 20)] == pytest.approx([1, 0.5, 0.25])
    assert schedule.factor(5) == pytest.approx(math.sqrt(0.5))


def test_warm_up_rises_linearly_from_nothing() -> None:
    schedule = Schedule(100, 10, 0.09, "constant", 0.9)
    assert [schedule.factor(step) for step in range(10)] == pytest.approx([(step + 1) / 10 for step in range(10)])


OPTIONS = [
    (OptimizerSpec(type="adamw", weight_decay=0.1, betas=[0.8, 0.9], eps=1e-6), {"weight_decay": 0.1, "eps": 1e-6}),
    (OptimizerSpec(), {"weight_decay": 0.01}),
    (OptimizerSpec(type="adam", betas=[0.5, 0.6]), {"betas": (0.5, 0.6)}),
    (OptimizerSpec(type="sgd", momentum=0.5, weight_decay=0.3), {"momentum": 0.5, "weight_decay": 0.3}),
    (OptimizerSpec(type="sgd", momentum=0.9, nesterov=True), {"momentum": 0.9, "nesterov": True}),
    (OptimizerSpec(type="adafactor"), {}),
    (OptimizerSpec(type="nadam", eps=1e-5), {"eps": 1e-5}),
    (OptimizerSpec(type="radam", weight_decay=0.2), {"weight_decay": 0.2}),
    (OptimizerSpec(type="adagrad", eps=1e-4), {"eps": 1e-4}),
    (OptimizerSpec(type="adadelta", eps=1e-4), {"eps": 1e-4}),
    (OptimizerSpec(type="adamax", betas=[0.7, 0.8]), {"betas": (0.7, 0.8)}),
    (OptimizerSpec(type="rmsprop", momentum=0.4), {"momentum": 0.4}),
    (OptimizerSpec(type="asgd", weight_decay=0.05), {"weight_decay": 0.05}),
]


def test_every_optimizer_is_tried() -> None:
    assert {spec.type or "adamw" for spec, _ in OPTIONS} == set(OPTIMIZERS)


@pytest.mark.parametrize(("spec", "options"), OPTIONS, ids=lambda item: getattr(item, "type", None) or "-")
def test_a_step_is_torchs_own_step(spec: OptimizerSpec, options: dict[str, Any]) -> None:
    run = Run(settings_of())
    model, feed = run.model(), run.feed()
    batch, targets = feed.take(feed.parts[next(iter(feed.parts))])
    torch.autograd.backward(torch.nn.functional.cross_entropy(model(batch)["out"], targets["out"]))
    ours = build_optimizer(model, spec, 0.05, 0.05)
    copies = [torch.nn.Parameter(parameter.detach().clone()) for parameter in model.parameters()]
    for copy, parameter in zip(copies, model.parameters(), strict=True):
        copy.grad = None if parameter.grad is None else parameter.grad.clone()
    kind: Callable[..., torch.optim.Optimizer] = OPTIMIZERS[spec.type or "adamw"]
    theirs = kind(copies, lr=0.05, **options)
    for _ in range(2):
        ours.step()
        theirs.step()
    for parameter, copy in zip(model.parameters(), copies, strict=True):
        assert torch.allclose(parameter, copy, atol=1e-6)


def test_an_optimizer_without_its_own_weight_decay_has_none() -> None:
    optimizer = build_optimizer(Run(settings_of()).model(), OptimizerSpec(type="adam"), 0.1, 0.1)
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.0}


def test_an_encoder_learns_at_its_own_rate_and_its_norms_are_not_decayed(tiny_bert: Path) -> None:
    model = Run(settings_of(), text=tiny_bert).model()
    optimizer = build_optimizer(model, OptimizerSpec(), 1e-5, 1e-3)
    rates = {id(parameter): group for group in optimizer.param_groups for parameter in group["params"]}
    encoder = dict(model.pretrained()["text"].encoder.named_parameters())
    assert len(rates) == sum(1 for _ in model.parameters())
    for name, parameter in encoder.items():
        group = rates[id(parameter)]
        assert group["lr"] == 1e-5
        assert group["weight_decay"] == (0.0 if "bias" in name or "LayerNorm" in name else 0.01), name
    mine = {id(parameter) for parameter in encoder.values()}
    assert all(group["lr"] == 1e-3 for key, group in rates.items() if key not in mine)


def test_a_frozen_encoder_is_no_part_of_the_optimizer(tiny_bert: Path) -> None:
    model = Run(settings_of(), text=tiny_bert, tuning=Tuning.FROZEN).model()
    optimizer = build_optimizer(model, OptimizerSpec(), 1e-5, 1e-3)
    inside = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    assert not inside & {id(parameter) for parameter in model.pretrained()["text"].encoder.parameters()}
    assert len(inside) == sum(parameter.requires_grad for parameter in model.parameters())


def test_rates_are_set_as_parts_of_each_groups_peak(tiny_bert: Path) -> None:
    optimizer = build_optimizer(Run(settings_of(), text=tiny_bert).model(), OptimizerSpec(), 1e-4, 1e-2)
    assert set_rates(optimizer, lambda peak: 0.5 * peak) == pytest.approx(5e-3)
    assert {group["lr"] for group in optimizer.param_groups} == {5e-5, 5e-3}
    assert set_rates(optimizer, lambda peak: peak) == pytest.approx(1e-2)


@pytest.mark.parametrize(
    ("name", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)]
)
def test_autocast_computes_in_the_type_asked_for(name: str, dtype: torch.dtype) -> None:
    layer = torch.nn.Linear(4, 4)
    with Precision(name, torch.device("cpu")).autocast():
        assert layer(torch.ones(1, 4)).dtype == dtype


def test_fp16_scales_losses_skips_overflows_and_steps_in_true_size() -> None:
    parameter = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    precision = Precision("fp16", torch.device("cpu"))
    precision.backward((parameter * torch.tensor([1.0, 2.0])).sum())
    assert parameter.grad is not None and parameter.grad[0] > 1
    precision.unscale(optimizer)
    assert parameter.grad.tolist() == [1.0, 2.0]
    precision.step(optimizer)
    assert parameter.tolist() == [0.0, -1.0]
    optimizer.zero_grad()
    precision.backward((parameter * torch.tensor([float("inf"), 1.0])).sum())
    before, scale = parameter.tolist(), precision.scaler.get_scale()
    precision.step(optimizer)
    assert parameter.tolist() == before
    assert precision.scaler.get_scale() < scale


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_learns_too(precision: str) -> None:
    run = Run(settings_of(epochs=20, clipping=("clipglobalnorm", 1.0)), precision=precision, learning_rate=5e-2)
    loop = run.loop()
    before = loop.evaluate(next(iter(loop.feed.parts)))["loss"]
    assert loop.run().validation["loss"] < before


def test_a_head_over_a_skipped_encoder_is_optimised_alone() -> None:
    from tests.support.training import feature_of

    output = Run(settings_of()).features()[1]
    model = ECD([feature_of("t", "text", ["a"])], [output], CombinerSpec(), {"t": PretrainedInput(4)})
    [group] = build_optimizer(model, OptimizerSpec(), 1e-5, 1e-3).param_groups
    assert len(group["params"]) == 2
