"""Attention by products is torch's fused attention, and is used where that was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from headstart_server.encoders import product_attention
from headstart_server.encoders.product_attention import attend_as_before, attend_by_products
from headstart_server.encoders.sources import ModelSource
from headstart_server.encoders.text import load_encoder
from headstart_server.encoders.text_encoder import TextEncoder
from torch import nn
from torch.nn import functional
from transformers import AttentionInterface

CPU = torch.device("cpu")


class _Module(nn.Module):
    def __init__(self, *, is_causal: bool) -> None:
        super().__init__()
        self.is_causal = is_causal


def _encoder(folder: Path) -> TextEncoder:
    return load_encoder(ModelSource("model", folder), "mean", use_pretrained=True, field="field")


def _attended(query: torch.Tensor, mask: torch.Tensor | None, *, is_causal: bool = False) -> torch.Tensor:
    function = AttentionInterface()["headstart_products"]
    found: torch.Tensor
    found, weights = function(_Module(is_causal=is_causal), query, query + 1, query - 1, mask, scaling=0.2)
    assert weights is None
    return found


@pytest.fixture(autouse=True)
def always(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In float32, too, in which differences tell."""
    monkeypatch.setattr(product_attention, "FUSED_TYPES", frozenset())
    attend_by_products(_encoder(tiny_bert).model)


@pytest.mark.parametrize("shape", [(3, 2, 5, 4), (1, 1, 1, 8), (2, 12, 33, 16)])
@pytest.mark.parametrize("kind", ["none", "rows", "added", "causal"])
def test_it_is_the_fused_attention(shape: tuple[int, ...], kind: str) -> None:
    torch.manual_seed(0)
    query = torch.randn(shape)
    seen = torch.rand(shape[0], 1, 1, shape[2]) > 0.5
    seen[..., 0] = True
    mask = {"rows": seen, "added": torch.randn(shape[0], 1, shape[2], shape[2])}.get(kind)
    expected = functional.scaled_dot_product_attention(
        query, query + 1, query - 1, mask, scale=0.2, is_causal=kind == "causal"
    )
    found = _attended(query, mask, is_causal=kind == "causal")
    torch.testing.assert_close(found, expected.transpose(1, 2), rtol=1e-5, atol=1e-5)


def test_a_token_that_sees_nothing_gets_numbers() -> None:
    mask = torch.ones(1, 1, 4, 4, dtype=torch.bool)
    mask[..., 3, :] = False
    assert _attended(torch.randn(1, 2, 4, 8), mask).isfinite().all()


@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta"])
def test_rows_of_any_length_keep_their_embeddings(tiny_models: dict[str, Path], family: str) -> None:
    plain, by_products = _encoder(tiny_models[family]), _encoder(tiny_models[family])
    attend_by_products(by_products.model)
    assert by_products.config._attn_implementation == "headstart_products"
    ids = torch.tensor([[5, 7, 9, 6], [5, 8, 6, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    with torch.inference_mode():
        torch.testing.assert_close(by_products(ids, mask), plain(ids, mask), rtol=0, atol=1e-6)
        torch.testing.assert_close(by_products(ids[:1]), plain(ids[:1]), rtol=0, atol=1e-6)


def test_passes_in_bf16_on_a_cpu_use_it_and_others_do_not(tiny_bert: Path) -> None:
    found = {name: _encoder(tiny_bert).at(name, CPU).config._attn_implementation for name in ("bf16", "fp32")}
    assert found == {"bf16": "headstart_products", "fp32": "sdpa"}


def test_a_model_that_does_not_use_the_fused_attention_stays_as_it_is(tiny_bert: Path) -> None:
    encoder = _encoder(tiny_bert)
    model: Any = encoder.model
    model.set_attn_implementation("eager")
    attend_by_products(encoder.model)
    assert encoder.config._attn_implementation == "eager"


def test_it_can_be_undone(tiny_bert: Path) -> None:
    encoder = _encoder(tiny_bert)
    attend_by_products(encoder.model)
    attend_as_before(encoder.model)
    assert encoder.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_an_encoder_that_trains_draws_and_learns_the_same(tiny_models: dict[str, Path], family: str) -> None:
    ids = torch.tensor([[5, 7, 9, 6], [5, 8, 6, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    found = []
    for by_products in (False, True):
        encoder = _encoder(tiny_models[family]).requires_grad_(True).train()
        if by_products:
            attend_by_products(encoder.model)
        torch.manual_seed(3)
        encoder(ids, mask).square().mean().backward()
        found.append({name: parameter.grad for name, parameter in encoder.named_parameters()})
    assert any(each is not None and each.any() for each in found[0].values())
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-4, atol=1e-6)
