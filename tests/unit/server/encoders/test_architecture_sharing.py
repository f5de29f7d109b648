"""What padding does to an architecture is seen on its first layers, without its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from headstart_server.encoders.architecture_sharing import shares_batches
from headstart_server.encoders.sources import ModelSource
from headstart_server.encoders.text import defer_encoder
from headstart_server.encoders.text_models import class_config, text_model_class

from tests.families.tiny import config_classes, perturbed, tiny_config

APART = ("canine", "convbert", "fnet", "funnel", "mobilebert", "nystromformer", "yoso")
TOGETHER = ("bert", "clip", "gpt2", "mamba", "modernbert", "mpnet", "roberta", "t5", "xlnet")


def _shares(name: str, **given: Any) -> bool:
    config = tiny_config(config_classes()[name], **given)
    kind = text_model_class(config)
    return shares_batches(kind, class_config(kind, config))


@pytest.mark.parametrize("name", APART)
def test_architectures_that_padding_changes_are_told_apart(name: str) -> None:
    assert not _shares(name)


@pytest.mark.parametrize("name", TOGETHER)
def test_architectures_that_mask_their_padding_share_batches(name: str) -> None:
    assert _shares(name)


def test_layers_are_looked_at_until_each_kind_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[int] = []
    kind = transformers.Lfm2Model
    make = kind._from_config

    def noted(config: Any, **given: Any) -> Any:
        built.append(config.num_hidden_layers)
        return make(config, **given)

    monkeypatch.setattr(kind, "_from_config", noted)
    layers = ["conv", "conv", "conv", "full_attention", "conv", "full_attention"]
    shares_batches(kind, tiny_config(transformers.Lfm2Config, num_hidden_layers=6, layer_types=layers))
    assert built == [4]


def test_a_look_draws_none_of_the_numbers_that_training_draws() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    _shares("bert")
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("name", ["fnet", "funnel"])
def test_what_padding_changes_is_not_read_in_parts(tmp_path: Path, name: str) -> None:
    config = tiny_config(config_classes()[name])
    perturbed(text_model_class(config)(config)).save_pretrained(tmp_path)
    assert defer_encoder(ModelSource("tiny", tmp_path), "mean") is None
