"""Tables of token vectors cut to those in use read rows as whole ones do, learn the same, and become whole again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from headstart_server.encoders.sources import ModelSource
from headstart_server.encoders.text import load_encoder
from headstart_server.encoders.text_encoder import TextEncoder
from headstart_server.encoders.text_shape import token_table
from headstart_server.encoders.used_tokens import UsedTokens, keep_used_tokens, restore_tokens

IDS = np.array([5, 7, 9, 6, 7], np.int32)
BATCH, MASK = torch.tensor([[5, 7, 9, 6], [9, 6, 0, 0]]), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])


def loaded(folder: Path) -> TextEncoder:
    encoder = load_encoder(ModelSource("model", folder), "mean", use_pretrained=True, field="field")
    return encoder.requires_grad_(True)


@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta", "t5"])
def test_a_cut_table_reads_and_learns_as_the_whole_one(tiny_models: dict[str, Path], family: str) -> None:
    pretrained, whole, cut = (loaded(tiny_models[family]) for _ in range(3))
    assert keep_used_tokens(cut, IDS)
    table: Any = token_table(cut.model)
    assert isinstance(table, UsedTokens) and len(table.weight) < 0.5 * table.num_embeddings
    assert (cut.vocabulary, cut.padding) == (whole.vocabulary, whole.padding)
    ids = torch.where(MASK.bool(), BATCH, whole.padding)
    for encoder in (whole, cut):
        optimizer = torch.optim.Adam(encoder.parameters(), lr=1e-2)
        for _ in range(3):
            optimizer.zero_grad()
            encoder(ids, MASK).square().mean().backward()
            optimizer.step()
    restore_tokens(cut)
    states = [encoder.state_dict() for encoder in (pretrained, whole, cut)]
    assert list(states[1]) == list(states[2])
    for name, value in states[1].items():
        torch.testing.assert_close(states[2][name], value, rtol=0, atol=1e-6)
    before, after = (token_table(encoder.model).weight for encoder in (pretrained, cut))
    changed = (before != after).any(1).nonzero()[:, 0].tolist()
    assert set(IDS.tolist()) - {whole.padding} <= set(changed) | {whole.padding} <= {5, 6, 7, 9, whole.padding}


def test_a_table_that_is_mostly_in_use_stays_whole(tiny_bert: Path) -> None:
    encoder = loaded(tiny_bert)
    assert not keep_used_tokens(encoder, np.arange(encoder.vocabulary * 2 // 3))
    assert type(token_table(encoder.model)) is torch.nn.Embedding


def test_a_table_that_something_else_shares_stays_whole(tiny_bert: Path) -> None:
    encoder = loaded(tiny_bert)
    other = torch.nn.Linear(32, encoder.vocabulary)
    other.weight = token_table(encoder.model).weight
    encoder.model.add_module("other", other)
    assert not keep_used_tokens(encoder, IDS)


def test_a_table_that_reads_otherwise_when_it_is_cut_stays_whole(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = loaded(tiny_bert)
    table = token_table(encoder.model)
    monkeypatch.setattr(UsedTokens, "forward", lambda self, ids: self.weight[self.places[ids]] + 1.0)
    assert not keep_used_tokens(encoder, IDS)
    assert token_table(encoder.model) is table


def test_restoring_what_is_whole_changes_nothing(tiny_bert: Path) -> None:
    encoder = loaded(tiny_bert)
    table = token_table(encoder.model)
    restore_tokens(encoder)
    assert token_table(encoder.model) is table
