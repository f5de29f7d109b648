"""Small published models, frozen or fine-tuned, beside the live model that they were saved from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from headstart_server.encoders.sources import ModelSource
from headstart_server.encoders.text import TextEncoder, load_encoder, save_text_encoder
from headstart_server.encoders.text_preparation import load_preparation
from headstart_server.encoders.tuning import Tuning
from headstart_server.model.bundle import Bundle, load_bundle, save_bundle
from headstart_server.model.ecd import ECD, PretrainedInput, Tokens
from headstart_server.model.encoder_store import EncoderReference, EncoderStore
from headstart_server.spec.model import TrainSpec
from headstart_server.storage.folders import SharedFolders

from tests.support.training import feature_of

TEXTS = ["the good film", "bad", "it was not great"]
SPEC = TrainSpec.model_validate(
    {
        "input_features": [{"name": "t", "type": "text"}, {"name": "x", "type": "number"}],
        "output_features": [{"name": "out", "type": "category"}],
        "combiner": {"num_fc_layers": 1, "norm": "ghost"},
    }
)


def saved_bundle(root: Path, folder: Path, *, trainable: bool, name: str = "m1") -> tuple[Bundle, ECD, dict[str, Any]]:
    """(the bundle read back, the live model, a batch)."""
    source = ModelSource("tiny", folder)
    preparation = load_preparation(source, 16, "f")
    inputs = (feature_of("t", "text", TEXTS), feature_of("x", "number", [1.0, 2.0, 4.0]))
    outputs = (feature_of("out", "category", ["a", "b", "c"], output=True),)
    item = PretrainedInput(32, Tuning.FULL if trainable else Tuning.FROZEN)
    model = ECD(inputs, outputs, SPEC.combiner, {"t": item})
    item.restore(load_encoder(source, "mean", use_pretrained=True, field="f"))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
        item.shift.add_(0.1)
        model.head.calibrate("out", 1.5)
    reference = EncoderReference(
        kind="text",
        name="tiny",
        digest="" if trainable else EncoderStore(SharedFolders(root / "encoder_store")).keep(source),
        folder="encoders/0" if trainable else "",
        reduction="mean",
        dimension=32,
        max_length=16,
        space={},
    )

    def save(folder: Path) -> None:
        assert isinstance(item.encoder, TextEncoder)
        save_text_encoder(folder, item.encoder, preparation)

    sample = pa.table({"t": TEXTS, "x": [1.0, 2.0, 4.0]})
    save_bundle(
        SharedFolders(root / "models"),
        name,
        SPEC,
        model,
        inputs,
        outputs,
        {"t": reference},
        {"t": save},
        sample,
        {"job": "j", "display_name": name, "create_time": "2026-01-01T00:00:00+00:00"},
    )
    tokens = preparation.tokenize(TEXTS)
    ids, mask = tokens.padded(torch.arange(3).numpy(), preparation.padding)
    batch = {"t": Tokens(torch.from_numpy(ids), torch.from_numpy(mask) if mask is not None else None)}
    return load_bundle(root / "models" / name), model.eval(), {**batch, "x": torch.tensor([0.1, 0.2, 0.3])}
