"""Answers need no storage: rows that cannot be reached there are read by the encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from headstart_server.core.errors import StorageError
from headstart_server.embedding_store.key import Keys, keys_of_texts
from headstart_server.embedding_store.space import Space
from headstart_server.embedding_store.space_store import SpaceStore
from headstart_server.embedding_store.store import EmbeddingStore
from headstart_server.serving import stored_rows
from headstart_server.serving.stored_rows import StoredRows


def test_what_cannot_be_reached_is_not_there_and_is_looked_for_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = keys_of_texts(pa.array(["one", "two"], pa.large_string()))
    store = EmbeddingStore(tmp_path, threads=1).space(Space("text", "weights", "preparation", "mean", 16, "fp32", 4))
    store.add(keys[:1], np.ones((1, 4), np.float32))
    gather, away, asked = SpaceStore.gather, True, 0

    def reached(space: SpaceStore, wanted: Keys, out: np.ndarray) -> object:
        nonlocal asked
        asked += 1
        if away:
            raise StorageError("cannot list shards in the shared storage")
        return gather(space, wanted, out)

    def refreshed(space: SpaceStore) -> None:
        raise StorageError("cannot list shards in the shared storage")

    monkeypatch.setattr(SpaceStore, "gather", reached)
    monkeypatch.setattr(SpaceStore, "refresh", refreshed)
    rows, embeddings = StoredRows(store), np.zeros((2, 4), np.float32)
    for _ in range(3):
        assert rows.read(keys, embeddings).tolist() == [False, False]
    rows.refresh()
    assert asked == 1  # not by each call, which would wait for it
    away = False
    monkeypatch.setattr(stored_rows, "_AWAY_SECONDS", 0.0)
    rows._away_until = 0.0
    assert rows.read(keys, embeddings).tolist() == [True, False]
    assert embeddings[0].tolist() == [1.0] * 4
