"""Embed answers what the encoder gives, computes between predictions, and stops for callers who have gone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from headstart_server.core.errors import InvalidInputError
from headstart_server.core.executors import Executors
from headstart_server.core.principal import ANONYMOUS
from headstart_server.encoders.sources import ModelSource
from headstart_server.encoders.text import load_encoder
from headstart_server.encoders.text_preparation import load_preparation
from headstart_server.planning.text_inputs import TextPlan
from headstart_server.service.embeddings import EmbeddingService, EmbedOrder
from headstart_server.serving.batcher import Batcher
from headstart_server.spec.model import FeatureSpec

from tests.support.tenancy import tenants_of
from tests.support.tiny_models import save_bert

TEXTS = ["a good film", "bad", "the plot was not great", "a good film", "it was awful"]


class CountingBatcher(Batcher):
    """Remembers on which threads other work was computed; `gate` is called before each."""

    def __init__(self, gate: Callable[[], object] = lambda: None) -> None:
        super().__init__()
        self.threads: list[str] = []
        self._gate = gate

    def run_between(self, function: Any, *arguments: Any) -> Any:
        self._gate()

        def noted() -> Any:
            self.threads.append(threading.current_thread().name)
            return function()

        return super().run_between(noted, *arguments)


def service_of(root: Path, batcher: Batcher, max_rows: int = 100) -> EmbeddingService:
    save_bert(root / "models" / "tiny-bert")
    return EmbeddingService(tenants_of(root / "state", root / "models"), batcher, max_rows, Executors())


def order(texts: list[str], **encoder: Any) -> EmbedOrder:
    spec = {
        "name": "t",
        "type": "text",
        "encoder": {"pretrained_model_name_or_path": "tiny-bert", "type": "bert", **encoder},
        "preprocessing": {"embedding_precision": "fp32"},
    }
    return EmbedOrder(FeatureSpec.model_validate(spec), "", lambda: pa.table({"t": texts}), len(texts), 1)


async def test_embeddings_are_the_encoders_and_computed_on_the_batchers_thread(tmp_path: Path) -> None:
    batcher = CountingBatcher()
    service = service_of(tmp_path, batcher)
    found = await service.embed(ANONYMOUS, order(TEXTS))
    source = ModelSource("tiny-bert", tmp_path / "models" / "tiny-bert")
    encoder = load_encoder(source, "mean", use_pretrained=True, field="f").eval()
    column = load_preparation(source, 512, "f").tokenize(TEXTS)
    for row, values in enumerate(found.values):
        ids, mask = column.padded(np.array([row]), 0)

        with torch.inference_mode():
            expected = encoder(torch.from_numpy(ids), None if mask is None else torch.from_numpy(mask))
        np.testing.assert_allclose(values, expected[0].numpy(), atol=1e-5)
    assert (found.rows_found, found.precision) == (0, "fp32")
    assert batcher.threads and all(name.startswith("predict") for name in batcher.threads)
    before = len(batcher.threads)
    again = await service.embed(ANONYMOUS, order(TEXTS))
    assert (again.rows_found, len(batcher.threads)) == (len(TEXTS), before)
    np.testing.assert_array_equal(again.values, found.values)
    batcher.close()


async def test_nothing_more_is_computed_for_a_caller_who_has_gone(tmp_path: Path) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def gate() -> None:
        reached.set()
        assert go_on.wait(60)

    batcher = CountingBatcher(gate)
    caller = asyncio.create_task(
        service_of(tmp_path, batcher, 2_000).embed(ANONYMOUS, order([f"film {n}" for n in range(900)]))
    )
    assert await asyncio.to_thread(reached.wait, 60)
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    go_on.set()
    await asyncio.sleep(0.5)
    assert len(batcher.threads) <= 1
    batcher.close()


async def test_two_callers_with_different_encoders_load_each_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batcher, loaded = Batcher(), list[str]()
    service = service_of(tmp_path, batcher, 2_000)
    load = TextPlan.load_whole

    def counted(plan: TextPlan) -> Any:
        loaded.append(plan.reduction)
        return load(plan)

    monkeypatch.setattr(TextPlan, "load_whole", counted)
    texts = [f"film {number}" for number in range(900)]  # several pieces each, in turn
    orders = (order(texts, reduce_output=reduction) for reduction in ("mean", "max"))
    await asyncio.gather(*(service.embed(ANONYMOUS, each) for each in orders))
    assert sorted(loaded) == ["max", "mean"]
    batcher.close()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (order(TEXTS, trainable=True), "must be pretrained and frozen"),
        (order(TEXTS, adapter={"type": "lora"}), "must be pretrained and frozen"),
        (order(["x"] * 101), "holds 101 rows, at most 100 fit one request"),
        (
            EmbedOrder(FeatureSpec(name="t", type="number"), "", lambda: pa.table({"t": [1.0]}), 1, 1),
            "use text or image",
        ),
        (EmbedOrder(order(TEXTS).feature, "", lambda: pa.table({"u": TEXTS}), 5, 1), "'t' is not in"),
        (
            EmbedOrder(order(TEXTS).feature, "0" * 32, lambda: pa.table({"t": TEXTS}), 5, 1),
            "is no space of this feature",
        ),
    ],
)
async def test_what_cannot_be_embedded_is_refused(tmp_path: Path, given: EmbedOrder, message: str) -> None:
    batcher = Batcher()
    with pytest.raises(InvalidInputError, match=message):
        await service_of(tmp_path, batcher).embed(ANONYMOUS, given)
    batcher.close()
