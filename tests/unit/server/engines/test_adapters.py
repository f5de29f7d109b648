"""An adapter learns beside weights that stay as they are; its model keeps it alone, and answers as it was tested."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from headstart_server.core.errors import DataLossError, FailedPreconditionError, InvalidInputError
from headstart_server.core.reasons import Reason
from headstart_server.encoders.adapters import linear_layers, load_adapter
from headstart_server.encoders.sources import ModelSource
from headstart_server.encoders.text import TextEncoder, load_encoder
from headstart_server.engines import tuning
from headstart_server.training import loop, micro_batches
from headstart_server.training.micro_batches import PassLimits

from tests.support import reviews
from tests.support.continued import TYPES, Trainings, spec
from tests.support.tiny_models import save_bert

pytest.importorskip("peft", reason="PEFT is an extra")
ROWS = reviews.make_rows(160)


def lora(**settings: Any) -> dict[str, Any]:
    """An encoder's settings."""
    return {"trainable": True, "adapter": {"type": "lora", **settings}}


LORA, FROZEN, WHOLE = lora(), {"trainable": False}, {"trainable": True}
NEARLY_STILL = {"learning_rate": 1e-9, "epochs": 1}


@pytest.fixture
def trainings(tmp_path: Path) -> Trainings:
    save_bert(tmp_path / "models" / "tiny-bert")
    return Trainings(tmp_path / "state", tmp_path / "models")


def test_it_learns_and_nothing_else_of_the_encoder_does(trainings: Trainings) -> None:
    bundle, heard = trainings.train(spec(encoder=LORA, epochs=4, learning_rate=3e-3), ROWS)
    assert heard.epochs[-1].validation["loss"] < 0.7 * heard.epochs[0].validation["loss"]
    before, after = trainings.pretrained_state(), trainings.served_state(bundle)
    changed = {key for key, value in before.items() if not torch.equal(value, after[key])}
    encoder = bundle.encoder("review", trainings.runtime.encoder_store)
    assert isinstance(encoder, TextEncoder)
    adapted = {f"model.{name}.weight" for name in linear_layers(encoder.model)}
    assert len(adapted) == 2 * 6 and not any("pooler" in name for name in adapted)
    assert before.keys() == after.keys()
    assert changed == adapted


@pytest.mark.parametrize(("encoder", "limited"), [(LORA, True), (WHOLE, False)], ids=["adapter", "whole"])
def test_passes_hold_few_tokens_where_an_adapter_alone_learns(
    trainings: Trainings, monkeypatch: pytest.MonkeyPatch, encoder: dict[str, Any], limited: bool
) -> None:
    monkeypatch.setattr(tuning, "_LEAST_BYTES", 1 << 16)
    monkeypatch.setattr(tuning, "_WEIGHTS_SHARE", 1e-6)
    taken: list[PassLimits] = []

    def cut(batches: Any, accumulation: int, limits: PassLimits) -> Any:
        taken.append(limits)
        return micro_batches.cut(batches, accumulation, limits)

    monkeypatch.setattr(loop, "cut", cut)
    trainings.train(spec(encoder=encoder, epochs=1), ROWS)
    [limits] = taken
    assert (limits.tokens > 0) == limited
    if limits.lengths is not None:
        rows = torch.arange(16)
        assert limits.passes(rows) > 1


@pytest.mark.parametrize("more", [{}, {"use_dora": True}, {"use_rslora": True}], ids=["lora", "dora", "rslora"])
def test_its_model_holds_it_alone_and_is_served_with_it_merged(trainings: Trainings, more: dict[str, Any]) -> None:
    encoder = lora(r=2, **more)
    bundle, _ = trainings.train(spec("price", encoder=encoder, epochs=2, learning_rate=3e-3), ROWS)
    reference = bundle.encoders["review"]
    assert (reference.folder, reference.adapter, reference.space) == ("", "encoders/0", {})
    files = {path.name: path.stat().st_size for path in (bundle.folder / "encoders/0").iterdir()}
    assert files.keys() == {"adapter_model.safetensors", "adapter_config.json"}
    assert sum(files.values()) < reference_size(trainings) / 4
    [digest] = trainings.runtime.encoder_store._folders.names()
    assert reference.digest == digest
    source = bundle.source("review", trainings.runtime.encoder_store)
    assert isinstance(source, ModelSource)
    pretrained, learned = (load_encoder(source, "mean", use_pretrained=True, field="") for _ in range(2))
    load_adapter(learned, bundle.adapter_folder("review"))
    ids = torch.arange(5, 29).reshape(4, 6)
    with torch.inference_mode():
        found = bundle.encoder("review", trainings.runtime.encoder_store)(ids)
        torch.testing.assert_close(found, learned(ids), atol=1e-5, rtol=1e-5)
        assert not torch.allclose(found, pretrained(ids), atol=1e-4)


def reference_size(trainings: Trainings) -> int:
    """Bytes of the pretrained weights."""
    return sum(tensor.nbytes for tensor in trainings.pretrained_state().values())


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # which PEFT asks for
def test_peft_reads_what_it_was_saved_as(trainings: Trainings, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModel

    bundle, _ = trainings.train(spec(encoder=LORA, epochs=2, learning_rate=3e-3), ROWS)
    base = AutoModel.from_pretrained(tmp_path / "models" / "tiny-bert")
    theirs = PeftModel.from_pretrained(base, str(bundle.folder / "encoders/0")).merge_and_unload().state_dict()
    ours = trainings.served_state(bundle)
    assert len(ours) > 30  # all but the pooler, which means of token vectors do without
    for key, value in ours.items():
        torch.testing.assert_close(theirs[key.removeprefix("model.")], value)


def test_it_trains_the_layers_that_are_named_and_no_others(trainings: Trainings) -> None:
    encoder = lora(target_modules=["query", "layer.1.output.dense"])
    bundle, _ = trainings.train(spec(encoder=encoder, epochs=1, learning_rate=3e-3), ROWS)
    before, after = trainings.pretrained_state(), trainings.served_state(bundle)
    changed = {key for key, value in before.items() if not torch.equal(value, after[key])}
    assert changed == {
        "model.encoder.layer.0.attention.self.query.weight",
        "model.encoder.layer.1.attention.self.query.weight",
        "model.encoder.layer.1.output.dense.weight",
    }


def test_a_layer_that_there_is_not_is_refused_with_those_that_there_are(trainings: Trainings) -> None:
    with pytest.raises(InvalidInputError) as refused:
        trainings.train(spec(encoder=lora(target_modules=["value", "quer"])), ROWS)
    [violation] = refused.value.violations
    assert violation.field == "input_features[0].encoder.adapter.target_modules[1]"
    assert "'quer' is no linear layer of the encoder" in violation.message
    assert "did you mean 'query'" in violation.message


def test_training_goes_on_from_a_model_with_an_adapter(trainings: Trainings) -> None:
    first, before = trainings.train(spec(*TYPES, encoder=LORA, epochs=4, learning_rate=3e-3), ROWS)
    second, after = trainings.train(spec(*TYPES, encoder=LORA, **NEARLY_STILL), ROWS, first.folder.name)
    best = min(report.validation["loss"] for report in before.epochs)
    assert after.epochs[0].validation["loss"] == pytest.approx(best, rel=0.05)
    torch.testing.assert_close(trainings.served_state(second), trainings.served_state(first), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("first", "second", "field"),
    [
        (LORA, FROZEN, "adapter"),
        (LORA, lora(r=4), "adapter.r"),
        (WHOLE, LORA, "adapter"),
        (LORA, {**WHOLE, "trainable_layers": 1}, "adapter"),
        ({**WHOLE, "trainable_layers": 1}, LORA, "adapter"),
    ],
)
def test_a_model_of_another_kind_is_no_beginning(
    trainings: Trainings, first: dict[str, Any], second: dict[str, Any], field: str
) -> None:
    begun, _ = trainings.train(spec(encoder=first, epochs=1), ROWS)
    with pytest.raises(InvalidInputError) as refused:
        trainings.train(spec(encoder=second, epochs=1), ROWS, begun.folder.name)
    assert refused.value.reason == Reason.INITIAL_MODEL_DIFFERS
    assert f"input_features[0].encoder.{field}" in [violation.field for violation in refused.value.violations]


def test_a_head_goes_on_with_an_adapter_beside_it(trainings: Trainings) -> None:
    probed, before = trainings.train(spec(encoder=FROZEN, epochs=6, learning_rate=3e-3), ROWS)
    _, after = trainings.train(spec(encoder=LORA, **NEARLY_STILL), ROWS, probed.folder.name)
    best = min(report.validation["loss"] for report in before.epochs)
    assert after.epochs[0].validation["loss"] == pytest.approx(best, rel=0.05)


def test_a_damaged_adapter_is_named(trainings: Trainings) -> None:
    bundle, _ = trainings.train(spec(encoder=LORA, epochs=1), ROWS)
    path = bundle.folder / "encoders/0/adapter_model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataLossError, match=r"encoders/0/adapter_model\.safetensors"):
        bundle.encoder("review", trainings.runtime.encoder_store)


def test_a_server_without_peft_says_so(trainings: Trainings, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, _ = trainings.train(spec(encoder=LORA, epochs=1), ROWS)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "peft" else find(name, *rest))
    with pytest.raises(FailedPreconditionError, match=r"headstart\[adapters\]") as refused:
        bundle.encoder("review", trainings.runtime.encoder_store)
    assert refused.value.reason == Reason.PEFT_NOT_INSTALLED
    with pytest.raises(InvalidInputError, match=r"headstart\[adapters\]"):
        trainings.train(spec(encoder=LORA), ROWS)
