"""Weights laid for short texts are the same weights."""

from pathlib import Path

import torch
from headstart_server.encoders.layout import lay_for_short_texts
from headstart_server.encoders.sources import ModelSource
from headstart_server.encoders.text import load_encoder


def test_weights_laid_for_short_texts_keep_values_and_embeddings(tiny_bert: Path) -> None:
    source = ModelSource("bert", tiny_bert)
    plain = load_encoder(source, "mean", use_pretrained=True, field="field")
    laid = load_encoder(source, "mean", use_pretrained=True, field="field")
    lay_for_short_texts(laid)
    linear = [layer for layer in laid.modules() if isinstance(layer, torch.nn.Linear)]
    assert linear and all(layer.weight.t().is_contiguous() for layer in linear)
    for name, value in plain.state_dict().items():
        assert torch.equal(value, laid.state_dict()[name]), name
    ids = torch.tensor([[5, 7, 9, 6]])
    with torch.inference_mode():
        torch.testing.assert_close(laid(ids), plain(ids), rtol=0, atol=1e-6)
