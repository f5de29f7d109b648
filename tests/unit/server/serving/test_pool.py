"""The pool: each model loaded once, frozen encoders shared, the least recently used out first."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from headstart_server.core.errors import NotFoundError
from headstart_server.core.files import folder_size
from headstart_server.data.tables import table_of_arrow
from headstart_server.embedding_store.store import EmbeddingStore
from headstart_server.encoders.passes import encode_batches
from headstart_server.model.bundle import Bundle
from headstart_server.model.encoder_store import EncoderStore
from headstart_server.model.registry import ModelRegistry
from headstart_server.serving.inputs import Reuse
from headstart_server.serving.pool import ModelPool, TenantModels
from headstart_server.serving.predictor import Predictor, predict_together
from headstart_server.storage.folders import SharedFolders

from tests.support.bundles import saved_bundle
from tests.support.measured import Growth
from tests.support.training import CPU


class CountingRegistry(ModelRegistry):
    """Remembers how often each model was read."""

    def __init__(self, root: Path) -> None:
        super().__init__(SharedFolders(root))
        self.reads: Counter[str] = Counter()

    def get(self, identifier: str) -> Bundle:
        self.reads[identifier] += 1
        return super().get(identifier)


HEAD = 43_000
"""Bytes of a head, or a few more."""


def opened(root: Path, limit_bytes: int = 1 << 30) -> tuple[ModelPool, CountingRegistry]:
    registry = CountingRegistry(root / "models")
    return pool_of(root, registry, limit_bytes), registry


def pool_of(root: Path, registry: ModelRegistry, limit_bytes: int = 1 << 30) -> ModelPool:
    own = TenantModels(registry, EmbeddingStore(root / "embeddings", threads=1))
    return ModelPool(lambda _: own, EncoderStore(SharedFolders(root / "encoder_store")), CPU, limit_bytes)


def save(root: Path, weights: Path, *names: str, trainable: bool = False) -> int:
    """Saves models; returns the bytes of the last one's encoder."""
    for name in names:
        saved_bundle(root, weights, trainable=trainable, name=name)
    return folder_size(root / "models" / names[-1] / "encoders/0") if trainable else folder_size(weights)


def answer_of(predictor: Predictor) -> list[float]:
    rows = predictor.rows(table_of_arrow(pa.table({"t": ["the good film", "bad"], "x": [1.0, 2.0]}), "table"))
    found: list[float] = predictor.predict(rows, Reuse.NONE).outputs["out"].ravel().tolist()
    return found


def test_a_model_is_loaded_once_however_many_wait(tmp_path: Path, tiny_bert: Path) -> None:
    save(tmp_path, tiny_bert, "m1")
    pool, registry = opened(tmp_path)
    barrier = threading.Barrier(6)

    def get(_: int) -> Predictor:
        barrier.wait()
        return pool.get("", "m1")

    assert pool.loaded("", "m1") is None
    with ThreadPoolExecutor(6) as threads:
        found = list(threads.map(get, range(6)))
    assert registry.reads["m1"] == 1
    assert all(predictor is found[0] for predictor in found)
    assert pool.loaded("", "m1") is found[0]


def test_a_full_pool_drops_what_was_used_longest_ago(tmp_path: Path, tiny_bert: Path) -> None:
    size = save(tmp_path, tiny_bert, "m1", "m2", "m3", trainable=True)
    pool, _ = opened(tmp_path, limit_bytes=int(2.5 * size) + 3 * HEAD)
    for name in ("m1", "m2", "m1", "m3"):
        pool.get("", name)
    assert [name for name in ("m1", "m2", "m3") if pool.loaded("", name) is not None] == ["m1", "m3"]


def test_a_model_that_answers_without_waiting_counts_as_used(tmp_path: Path, tiny_bert: Path) -> None:
    size = save(tmp_path, tiny_bert, "m1", "m2", "m3", trainable=True)
    pool, _ = opened(tmp_path, limit_bytes=int(2.5 * size) + 3 * HEAD)
    pool.get("", "m1")
    pool.get("", "m2")
    assert pool.loaded("", "m1") is not None
    pool.get("", "m3")
    assert pool.loaded("", "m1") is not None
    assert pool.loaded("", "m2") is None


def test_the_newest_stays_however_little_fits_and_the_dropped_come_back(tmp_path: Path, tiny_bert: Path) -> None:
    save(tmp_path, tiny_bert, "m1", "m2", trainable=True)
    pool, registry = opened(tmp_path, limit_bytes=0)
    before = answer_of(pool.get("", "m1"))
    pool.get("", "m2")
    assert (pool.loaded("", "m1"), pool.loaded("", "m2") is None) == (None, False)
    assert answer_of(pool.get("", "m1")) == pytest.approx(before)
    assert registry.reads["m1"] == 2


def test_models_on_one_frozen_encoder_count_it_once(tmp_path: Path, tiny_bert: Path) -> None:
    size = save(tmp_path, tiny_bert, "m1", "m2", "m3")
    pool, _ = opened(tmp_path, limit_bytes=int(1.5 * size) + 4 * HEAD)
    for name in ("m1", "m2", "m3"):
        pool.get("", name)
    assert all(pool.loaded("", name) is not None for name in ("m1", "m2", "m3"))


def test_models_on_one_frozen_encoder_are_answered_together_as_alone(
    tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, tiny_bert, "m1", "m2", "m3")
    pool, _ = opened(tmp_path)
    models = [pool.get("", name) for name in ("m1", "m2", "m3")]
    assert len({model.reads for model in models}) == 1
    texts = [["the good film", "bad"], ["bad", "a film"], ["dull", "the good film"]]
    asked = [
        (model, model.rows(table_of_arrow(pa.table({"t": words, "x": [1.0, 2.0]}), "table")))
        for model, words in zip(models, texts, strict=True)
    ]
    alone = [model.predict(rows, Reuse.NONE).outputs["out"] for model, rows in asked]
    read: list[int] = []

    def counted(encoder: Any, tokens: Any, *args: Any, **options: Any) -> Any:
        read.append(len(tokens))
        return encode_batches(encoder, tokens, *args, **options)

    monkeypatch.setattr("headstart_server.serving.inputs.encode_batches", counted)
    together = predict_together(asked, Reuse.NONE)
    # one pass over what is distinct: `bad` and `the good film` are asked of two models each
    assert read == [4]
    for answer, expected in zip(together, alone, strict=True):
        assert not isinstance(answer, Exception)
        np.testing.assert_allclose(answer.outputs["out"], expected, atol=1e-6)


def test_fine_tuned_encoders_read_for_their_own_model_alone(tmp_path: Path, tiny_bert: Path) -> None:
    save(tmp_path, tiny_bert, "m1", "m2", trainable=True)
    pool, _ = opened(tmp_path)
    assert pool.get("", "m1").reads != pool.get("", "m2").reads


def test_a_forgotten_model_is_gone_and_the_others_answer_on(tmp_path: Path, tiny_bert: Path) -> None:
    save(tmp_path, tiny_bert, "m1", "m2")
    pool, registry = opened(tmp_path)
    kept = pool.get("", "m2")
    before = answer_of(kept)
    pool.get("", "m1")
    registry.delete("m1")
    pool.forget("", "m1")
    pool.forget("", "nothing")
    assert pool.loaded("", "m1") is None
    with pytest.raises(NotFoundError):
        pool.get("", "m1")
    assert pool.get("", "m2") is kept
    assert answer_of(kept) == before


def test_a_model_that_was_not_there_is_found_once_it_is(tmp_path: Path, tiny_bert: Path) -> None:
    pool, _ = opened(tmp_path)
    with pytest.raises(NotFoundError, match="models/m1"):
        pool.get("", "m1")
    save(tmp_path, tiny_bert, "m1")
    assert pool.get("", "m1") is pool.loaded("", "m1")


class SlowRegistry(CountingRegistry):
    """Reads one model only when it may."""

    def __init__(self, root: Path, slow: str) -> None:
        super().__init__(root)
        self._slow = slow
        self.asked, self.go_on = threading.Event(), threading.Event()

    def get(self, identifier: str) -> Bundle:
        if identifier == self._slow:
            self.asked.set()
            assert self.go_on.wait(60)
        return super().get(identifier)


def test_a_model_that_loads_slowly_holds_up_no_other(tmp_path: Path, tiny_bert: Path) -> None:
    save(tmp_path, tiny_bert, "slow", "quick")
    registry = SlowRegistry(tmp_path / "models", "slow")
    pool = pool_of(tmp_path, registry)
    with ThreadPoolExecutor(2) as threads:
        slow = threads.submit(pool.get, "", "slow")
        assert registry.asked.wait(60)
        assert threads.submit(pool.get, "", "quick").result(60) is pool.loaded("", "quick")
        dropped = threading.Thread(target=pool.forget, args=("", "slow"))
        dropped.start()  # a deletion waits for it, so that it does not come back
        registry.go_on.set()
        assert slow.result(60) is not None
        dropped.join(60)
    assert pool.loaded("", "slow") is None


def test_models_that_load_at_once_share_one_frozen_encoder(
    tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, tiny_bert, "m1", "m2", "m3")
    pool, _ = opened(tmp_path)
    load, loaded = Bundle.encoder, list[str]()

    def counted(bundle: Bundle, *args: Any) -> Any:
        loaded.append(bundle.folder.name)
        time.sleep(0.05)
        return load(bundle, *args)

    monkeypatch.setattr(Bundle, "encoder", counted)
    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(partial(pool.get, ""), ["m1", "m2", "m3"]))
    assert len(loaded) == 1
    assert len({id(predictor) for predictor in found}) == 3


def test_nobody_comes_in_beside_those_who_wait_for_a_model(tmp_path: Path, tiny_bert: Path) -> None:
    """Three deletions and loads of one model, each beginning while the one before is inside."""
    save(tmp_path, tiny_bert, "m1")
    inside, most = 0, 0
    lock = threading.Lock()

    class Watched(CountingRegistry):
        def get(self, identifier: str) -> Bundle:
            nonlocal inside, most
            with lock:
                inside += 1
                most = max(most, inside)
            time.sleep(0.05)
            with lock:
                inside -= 1
            raise NotFoundError("not yet")

    pool = pool_of(tmp_path, Watched(tmp_path / "models"))

    def ask(turn: int) -> None:
        time.sleep(0.02 * turn)
        with pytest.raises(NotFoundError):
            pool.get("", "m1")

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(ask, range(6)))
    assert most == 1


def test_heads_count_as_well_as_encoders(tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of nearest neighbours hold the training rows: a thousand of them would be hundreds of gigabytes."""
    size = save(tmp_path, tiny_bert, "m1", "m2", "m3")
    pool, _ = opened(tmp_path, limit_bytes=size + 2_500)
    load = pool._load

    def heavy(*args: Any) -> Any:
        predictor, encoders = load(*args)
        predictor.head_bytes = 1_000
        return predictor, encoders

    monkeypatch.setattr(pool, "_load", heavy)
    for name in ("m1", "m2", "m3"):
        pool.get("", name)
    assert [pool.loaded("", name) is not None for name in ("m1", "m2", "m3")] == [False, True, True]


def test_loads_hits_and_evictions_are_counted(tmp_path: Path, tiny_bert: Path) -> None:
    size = save(tmp_path, tiny_bert, "m1", "m2", trainable=True)
    pool, _ = opened(tmp_path, limit_bytes=size + HEAD)
    loads, hits = Growth("headstart_model_load_seconds_count"), Growth("headstart_model_pool_hits_total")
    evictions = Growth("headstart_model_pool_evictions_total")
    for name in ("m1", "m1", "m2"):
        pool.get("", name)
    with pytest.raises(NotFoundError):
        pool.get("", "none")
    assert (loads(), hits(), evictions()) == (2, 1, 1)
    assert Growth("headstart_model_pool_models").now == 1
    assert size < Growth("headstart_model_pool_bytes").now <= size + HEAD
    pool.forget("", "m2")
    assert (Growth("headstart_model_pool_models").now, Growth("headstart_model_pool_bytes").now) == (0, 0)
