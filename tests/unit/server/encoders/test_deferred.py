"""An encoder that is read part by part is the one that is loaded whole; what cannot be read so is not tried."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from headstart_server.encoders.deferred import DeferredEncoder, names_in_files, placed, without_parameters
from headstart_server.encoders.image import defer_image_encoder, load_image_encoder
from headstart_server.encoders.sources import ModelSource
from headstart_server.encoders.text import defer_encoder, load_encoder
from headstart_server.encoders.tuning import Tuning
from headstart_server.encoders.vision_processors import vision_transform
from headstart_server.encoders.vision_transformers import default_reduction
from headstart_server.model.ecd import PretrainedInput
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tests.support import tiny_models, tiny_vision
from tests.support.tiny_models import bert_config, bert_tokenizer

CPU = torch.device("cpu")


def _require_equal(deferred: DeferredEncoder | None, whole: nn.Module, *inputs: Tensor) -> None:
    """A deferred encoder, once read, is the whole one: in names, values, buffers, tied parameters and results."""
    assert deferred is not None
    assert all(parameter.is_meta for parameter in deferred.encoder.parameters())
    assert not any(buffer.is_meta for buffer in deferred.encoder.buffers())
    deferred.read(CPU)
    torch.testing.assert_close(deferred.encoder.state_dict(), whole.state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(dict(deferred.encoder.named_buffers()), dict(whole.named_buffers()), rtol=0, atol=0)
    assert [name for name, _ in deferred.encoder.named_parameters()] == [name for name, _ in whole.named_parameters()]
    with torch.inference_mode():
        # Products round by where in memory their operands happen to lie.
        torch.testing.assert_close(deferred.encoder(*inputs), whole(*inputs), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", tiny_models.SAVERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_text_encoders(tiny_models: dict[str, Path], tmp_path: Path, family: str, dtype: torch.dtype) -> None:
    folder = shutil.copytree(tiny_models[family], tmp_path / "model")
    state = {name: value.to(dtype) for name, value in load_file(folder / "model.safetensors").items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    source = ModelSource("tiny", folder)
    whole = load_encoder(source, "mean", use_pretrained=True, field="f")
    _require_equal(defer_encoder(source, "mean"), whole, torch.tensor([[3, 5, 4, 6], [7, 7, 2, 1]]))


@pytest.mark.parametrize("name", tiny_vision.SAVERS)
def test_image_encoders(tmp_path: Path, name: str) -> None:
    source = ModelSource("tiny", tiny_vision.SAVERS[name](tmp_path / name))
    transform, reduction = vision_transform(source, "f"), default_reduction(source)
    whole = load_image_encoder(source, transform, reduction, use_pretrained=True, field="f")
    _require_equal(defer_image_encoder(source, transform, reduction), whole, torch.rand(2, 3, *transform.crop) * 255)


def test_weights_below_the_name_of_a_base_model_and_of_tensorflows_norms(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = transformers.BertForMaskedLM(bert_config(bert_tokenizer()))
    model.save_pretrained(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    assert any(name.startswith("bert.") for name in state)
    renamed = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for name, value in state.items()
    }
    assert renamed != state
    save_file(renamed, tmp_path / "model.safetensors", metadata={"format": "pt"})
    source = ModelSource("tiny", tmp_path)
    whole = load_encoder(source, "mean", use_pretrained=True, field="f")
    _require_equal(defer_encoder(source, "mean"), whole, torch.tensor([[3, 5, 4, 6]]))


def test_weights_in_several_files(tiny_bert: Path, tmp_path: Path) -> None:
    model = transformers.AutoModel.from_pretrained(tiny_bert)
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    source = ModelSource("tiny", tmp_path)
    whole = load_encoder(source, "mean", use_pretrained=True, field="f")
    _require_equal(defer_encoder(source, "mean"), whole, torch.tensor([[3, 5, 4, 6]]))


def test_what_does_not_hold_the_weights_as_the_model_does_is_not_read_in_parts(tiny_bert: Path, tmp_path: Path) -> None:
    state = load_file(tiny_bert / "model.safetensors")
    name = next(name for name in state if name.endswith("query.weight"))
    others = {
        "missing": {key: value for key, value in state.items() if key != name},
        "another shape": {**state, name: torch.zeros(3, 3)},
    }
    for kind, changed in others.items():
        folder = shutil.copytree(tiny_bert, tmp_path / kind)
        save_file(changed, folder / "model.safetensors", metadata={"format": "pt"})
        assert defer_encoder(ModelSource("tiny", folder), "mean") is None
    twice = shutil.copytree(tiny_bert, tmp_path / "twice")
    save_file({name: state[name]}, twice / "other.safetensors")
    assert defer_encoder(ModelSource("tiny", twice), "mean") is None
    damaged = shutil.copytree(tiny_bert, tmp_path / "damaged")
    (damaged / "model.safetensors").write_bytes(b"no such thing")
    assert defer_encoder(ModelSource("tiny", damaged), "mean") is None


def test_weights_that_transformers_converts_are_not_read_in_parts(tmp_path: Path) -> None:
    config = transformers.MixtralConfig(
        vocab_size=50,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        num_local_experts=2,
    )
    transformers.MixtralModel(config).save_pretrained(tmp_path)
    with without_parameters():
        model = transformers.MixtralModel(config)
    assert names_in_files(model, tmp_path) is None


def test_modules_have_their_parameters_again_afterwards() -> None:
    with pytest.raises(ZeroDivisionError), without_parameters():
        assert nn.Linear(2, 2).weight.is_meta
        raise ZeroDivisionError
    assert not nn.Linear(2, 2).weight.is_meta


def test_what_is_real_is_moved_and_the_rest_stays_away() -> None:
    with without_parameters():
        norm = nn.BatchNorm1d(2)
    moved = placed(nn.Sequential(norm, nn.Linear(2, 2)).double(), CPU)
    assert moved[0].weight.is_meta and not moved[0].running_mean.is_meta and not moved[1].weight.is_meta


def test_a_shared_parameter_that_was_given_tensors_is_one_again(tiny_models: dict[str, Path], tmp_path: Path) -> None:
    source = ModelSource("tiny", tiny_models["t5"])
    whole = load_encoder(source, "mean", use_pretrained=True, field="f")
    deferred = defer_encoder(source, "mean")
    assert deferred is not None
    item = PretrainedInput(whole.dimension, Tuning.FULL)
    item.defer(deferred)
    item.encoder.load_state_dict(whole.state_dict(), assign=True)
    item.tie()
    assert len(list(item.encoder.parameters())) == len(list(whole.parameters()))
    read: Any = item.encoder.model
    read.save_pretrained(tmp_path)
    assert len(load_file(tmp_path / "model.safetensors")) == len(list(whole.parameters()))
