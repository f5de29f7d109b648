"""An encoder in two parts gives what it gives whole, in whatever way its layers are called; where it would not, it is
refused."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from headstart_server.encoders.last_layers import LayersBelow, UndividedError, divided
from headstart_server.encoders.sources import ModelSource
from headstart_server.encoders.text import TextEncoder, load_encoder

from tests.families.check import Findings, saved

IDS = torch.tensor([[5, 6, 7, 8, 9], [10, 11, 12, 1, 1]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])


def encoder_of(name: str, folder: Path) -> TextEncoder:
    source = saved(name, folder, Findings(name))
    assert isinstance(source, ModelSource)
    return load_encoder(source, "mean", use_pretrained=True, field="name")


@pytest.mark.parametrize(
    "name", ["bart", "bert", "deberta-v2", "distilbert", "electra", "gpt2", "modernbert", "mpnet", "xlm-roberta"]
)
def test_the_parts_give_what_the_whole_gives(name: str, tmp_path: Path) -> None:
    whole = encoder_of(name, tmp_path)
    ids = torch.where(MASK.bool(), IDS, whole.padding)
    below, last = divided(copy.deepcopy(whole), 1, whole.dimension)
    with torch.inference_mode():
        torch.testing.assert_close(last(ids, MASK, below(ids, MASK)), whole(ids, MASK), atol=1e-4, rtol=1e-4)
    with torch.no_grad():
        for parameter in last.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1)
        found = last(ids, MASK, below(ids, MASK))
        torch.testing.assert_close(last.put_into(whole)(ids, MASK), found, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("t5", "more than a vector"),
        ("xlnet", "more than a vector"),
        ("longformer", "more than a vector"),
        ("squeezebert", "more than a vector|one after the other"),
        ("albert", "no single list of layers"),
        ("fnet", "one length at a time"),
    ],
)
def test_what_cannot_be_divided_says_why(name: str, reason: str, tmp_path: Path) -> None:
    encoder = encoder_of(name, tmp_path)
    with pytest.raises(UndividedError, match=reason):
        divided(encoder, 1, encoder.dimension)


def test_layers_that_are_passed_over_at_random_pass_over_no_states(tmp_path: Path) -> None:
    whole = encoder_of("m2m_100", tmp_path)
    assert whole.config.encoder_layerdrop > 0
    vars(whole.model)["layerdrop"] = 0.9
    below, last = divided(whole, 1, whole.dimension)
    last.train()
    assert any(module.training for module in last.modules() if module is not last)
    states = below(IDS, MASK)
    for module in last.modules():
        vars(module).update({name: 0.0 for name in ("p", "dropout", "activation_dropout") if name in vars(module)})
    with torch.no_grad():
        found = [last(IDS, MASK, states) for _ in range(10)]
    for each in found[1:]:
        torch.testing.assert_close(each, found[0])


def test_threads_share_the_layers_below(tmp_path: Path) -> None:
    below = LayersBelow(encoder_of("bert", tmp_path), 1)
    rows = [torch.randint(5, 60, (3, length)) for length in range(2, 30)]
    alone = [below(ids) for ids in rows]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(below, rows))
    for one, other in zip(alone, together, strict=True):
        torch.testing.assert_close(one, other)
