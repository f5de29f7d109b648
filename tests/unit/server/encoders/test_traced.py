"""A traced pass gives what the one in Python gives, whatever rows share a batch; where it does not, it is not used."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Hashable
from typing import Any

import pytest
import torch
from headstart_server.data.images.transform import ImageTransform
from headstart_server.encoders import traced as tracing
from headstart_server.encoders.image import FEATURES, ImageEncoder
from headstart_server.encoders.text_encoder import TextEncoder
from headstart_server.encoders.text_models import text_model_class
from headstart_server.encoders.torchvision_models import headless
from headstart_server.encoders.traced import TEXT_FAMILIES, traced
from structlog.testing import capture_logs
from torch import Tensor, nn

from tests.families.tiny import POSITIONS, VOCABULARY, WIDTH, config_classes, perturbed, tiny_config

CPU = torch.device("cpu")


def encoder_of(family: str, reduction: str = "mean") -> TextEncoder:
    config = tiny_config(config_classes()[family])
    model = perturbed(text_model_class(config)(config))
    return TextEncoder(model, reduction, WIDTH, POSITIONS - 8)


def rows_of(lengths: list[int], seed: int) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, VOCABULARY, (len(lengths), max(lengths)), generator=draw)
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    return ids * mask + (1 - mask), mask


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("family", sorted(TEXT_FAMILIES))
def test_a_family_that_is_traced_gives_the_same_for_any_rows(family: str, precision: str) -> None:
    encoder = encoder_of(family).for_answers(CPU, precision)
    assert encoder._traced is not None and encoder._traced_padded is not None
    for seed, lengths in enumerate(([1], [40], [7], [3, 3], [12, 5, 1], [30, 29, 2, 2, 1])):
        ids, mask = rows_of(lengths, seed)
        given = None if min(lengths) == max(lengths) else mask
        with torch.inference_mode():
            assert torch.equal(encoder(ids, given), encoder._read(ids, given))


def test_a_trace_is_what_rows_are_read_by(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = encoder_of("bert").for_answers(CPU)
    monkeypatch.setattr(encoder, "_output", None)
    ids, mask = rows_of([4, 2], 0)
    assert encoder(ids, mask).shape == (2, WIDTH)
    assert encoder(ids[:1], None).shape == (1, WIDTH)


def test_encoders_that_are_built_alike_share_a_graph_and_keep_their_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graphs: dict[Hashable, Any] = {}
    monkeypatch.setattr(tracing, "_graphs", graphs)
    ids, mask = rows_of([4, 2], 0)
    others = [encoder_of("bert"), encoder_of("bert"), encoder_of("bert", "cls")]
    perturbed(others[1].model, seed=1)
    expected = [other(ids, mask).detach() for other in others]
    served = [other.for_answers(CPU) for other in others]
    assert len(graphs) == 4
    for encoder, embeddings in zip(served, expected, strict=True):
        assert encoder._traced_padded is not None
        assert torch.allclose(encoder(ids, mask), embeddings, atol=1e-5)
    assert not torch.allclose(expected[0], expected[1], atol=1e-2)


def test_no_more_graphs_are_kept_than_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "_graphs", {})
    monkeypatch.setattr(tracing, "_MOST_GRAPHS", 1)
    encoder = encoder_of("bert").for_answers(CPU)
    assert encoder._traced is not None and encoder._traced_padded is None


def test_weights_go_with_their_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "_graphs", {})
    encoder = encoder_of("bert").for_answers(CPU)
    weight = weakref.ref(next(iter(encoder.parameters())))
    del encoder
    gc.collect()
    assert weight() is None


def test_a_family_that_nobody_looked_at_is_read_in_python() -> None:
    assert encoder_of("gpt2").for_answers(CPU)._traced is None


def test_a_pass_that_depends_on_sizes_or_values_is_not_traced() -> None:
    model = nn.Linear(1, 1)

    def by_length(values: Tensor) -> Tensor:
        return values.sum() if values.shape[0] > 2 else values.mean()

    def by_value(values: Tensor) -> Tensor:
        return values.sum() if bool(values[0] > 0) else values.mean()

    sizes = [(torch.tensor([1.0, 2.0]),), (torch.tensor([1.0, 2.0, 3.0]),)]
    assert traced(by_length, model, "length", sizes) is None
    assert traced(by_value, model, "value", [*sizes[:1], (torch.tensor([-1.0, 2.0]),)]) is None
    assert traced(torch.sum, model, "sum", sizes) is not None


def test_a_pass_that_cannot_be_traced_is_left() -> None:
    def failing(values: Tensor) -> Tensor:
        raise RuntimeError("not here")

    with capture_logs() as logs:
        assert traced(failing, nn.Linear(1, 1), "failing", [(torch.zeros(2),)]) is None
    assert [(line["log_level"], "not here" in line["reason"]) for line in logs] == [("warning", True)]


def test_without_the_tracer_all_is_read_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "_graphs", {})
    monkeypatch.delattr(torch.jit, "trace")
    encoder = encoder_of("bert").for_answers(CPU)
    assert encoder._traced is None
    assert encoder(*rows_of([4, 2], 0)).shape == (2, WIDTH)


def test_an_image_encoder_without_control_flow_is_traced() -> None:
    transform = ImageTransform(
        resize=32, crop=(32, 32), interpolation="bilinear", mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2)
    )
    encoder = ImageEncoder(headless("resnet18", (32, 32), random=True).eval(), FEATURES, 512, transform)
    served = encoder.for_answers(CPU)
    assert served._traced is not None and encoder._traced is None
    crops = torch.randint(256, (4, 3, 32, 32), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(served(crops), served._read(crops))
