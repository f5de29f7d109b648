"""Linear heads learn the same without autograd; every other model is backpropagated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.model.ecd import ECD
from headstart_server.model.losses import build_loss
from headstart_server.spec.model import CombinerSpec
from headstart_server.training.feed import Feed
from headstart_server.training.micro_batches import PassLimits, cut
from headstart_server.training.parallel.base import Alone
from headstart_server.training.precision import Precision
from headstart_server.training.step_loss import StepLoss
from headstart_server.training.step_pass import AutogradPass, LinearPass, step_pass

from tests.support.training import CPU, column_of, feature_of

ROWS = 30
_RANDOM = np.random.default_rng(5)
_X, _Y = (_RANDOM.normal(size=ROWS).tolist() for _ in range(2))
_LABELS = ["a" if x > 0.5 else "b" if x + y > 0 else "c" for x, y in zip(_X, _Y, strict=True)]
OUTPUTS: dict[str, tuple[str, list[Any], dict[str, Any]]] = {
    "category": ("category", _LABELS, {}),
    "weighed": ("category", _LABELS, {"balance_classes": True}),
    "smoothed": ("category", _LABELS, {"label_smoothing": 0.1, "weight": 0.5}),
    "binary": ("binary", ["yes" if x > 0 else "no" for x in _X], {"positive_class_weight": 3.0}),
    "number": ("number", _Y, {"type": "huber"}),
    "set": ("set", [f"{label} {'r' if x > 0 else 's'}" for label, x in zip(_LABELS, _X, strict=True)], {}),
    "vector": ("vector", [f"{x} {y}" for x, y in zip(_X, _Y, strict=True)], {}),
}


def parts_of(names: list[str], **combiner: Any) -> tuple[Alone, StepLoss, Feed]:
    """A model over two numbers, the same each time, with its loss and its rows."""
    inputs = (feature_of("x", "number", _X), feature_of("y", "number", _Y))
    outputs: list[FittedFeature] = []
    for name in names:
        kind, values, loss = OUTPUTS[name]
        outputs.append(feature_of(name, kind, values, output=True, loss=loss))
    torch.manual_seed(0)
    model = ECD(inputs, outputs, CombinerSpec(**combiner), {})
    arrays = {"x": column_of(inputs[0], _X), "y": column_of(inputs[1], _Y)}
    targets = {feature.name: column_of(feature, OUTPUTS[feature.name][1]) for feature in outputs}
    feed = Feed(arrays, {}, targets, {}, CPU)
    return Alone(model), StepLoss({feature.name: build_loss(feature, CPU) for feature in outputs}, feed), feed


@pytest.mark.parametrize("names", [[name] for name in OUTPUTS] + [["category", "number", "binary"]])
@pytest.mark.parametrize("most", [ROWS, 12])
def test_a_linear_head_gets_the_gradients_of_autograd(names: list[str], most: int) -> None:
    found = []
    for linear in (True, False):
        parallel, step_loss, feed = parts_of(names)
        precision = Precision("fp32", CPU)
        run = LinearPass.of(parallel, precision, step_loss) if linear else AutogradPass(parallel, precision, step_loss)
        assert run is not None
        losses, logits = [], []
        for each in cut([torch.arange(ROWS)], 1, PassLimits(most)):
            batch, targets = feed.take(each.rows)
            said, loss = run(batch, targets, each, len(each.rows))
            losses.append(loss)
            logits.append(torch.cat([values.reshape(-1) for values in said.values()]))
        gradients = [parameter.grad for parameter in parallel.model.parameters() if parameter.requires_grad]
        found.append((torch.stack(losses), torch.cat(logits), *gradients))
    for left, right in zip(*found, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-7)
        assert not left.requires_grad or left.grad_fn is None


@pytest.mark.parametrize(
    ("combiner", "precision", "linear"),
    [({}, "fp32", True), ({"num_fc_layers": 1}, "fp32", False), ({"dropout": 0.1}, "fp32", False), ({}, "bf16", False)],
)
def test_other_models_are_backpropagated(combiner: dict[str, Any], precision: str, *, linear: bool) -> None:
    parallel, step_loss, _ = parts_of(["category"], **combiner)
    assert isinstance(step_pass(parallel, Precision(precision, CPU), step_loss), LinearPass) == linear


def test_a_model_with_an_input_that_learns_is_backpropagated() -> None:
    parallel, step_loss, _ = parts_of(["category"])
    parallel.model.register_parameter("more", torch.nn.Parameter(torch.zeros(1)))
    assert isinstance(step_pass(parallel, Precision("fp32", CPU), step_loss), AutogradPass)
