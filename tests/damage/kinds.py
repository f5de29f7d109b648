"""Each kind of stored file: where one lies, and what a reader makes of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from headstart_server.core.layout import Layout
from headstart_server.data.source import SourceRecord
from headstart_server.data.uploads import Dataset, Uploads
from headstart_server.embedding_store.store import EmbeddingStore
from headstart_server.encoders.tokens import TokenCache, TokenColumn
from headstart_server.export.artifacts import ArtifactRegistry
from headstart_server.model.encoder_store import EncoderStore
from headstart_server.model.registry import ModelRegistry
from headstart_server.storage.folders import SharedFolders
from headstart_server.storage.storage import Storage
from headstart_server.training.checkpoint import CheckpointState, Progress, load_checkpoint, save_checkpoint

from tests.support.archives import zipped
from tests.support.artifacts import publish
from tests.support.bundles import saved_bundle
from tests.support.stores import embedding_of, keys_of, space_of

ROWS = b"review,label\n" + b"".join(
    b"film %d is %s,%d\n" % (row, (b"bad", b"good")[row % 2], row % 2) for row in range(99)
)


@dataclass(frozen=True)
class Kind:
    """One stored file, what a fresh process answers from it, and what its service lists beside it."""

    name: str
    path: Path
    read: Callable[[], Any]
    """An answer to compare; None for what is made again. Domain errors are refusals."""
    listed: Callable[[], Any] = lambda: None
    """Must not raise, whatever happened to the file."""


def every_kind(root: Path, bert: Path) -> Iterator[Kind]:
    """One of each, below `root`. `bert` is the folder of a tiny encoder."""
    yield from _data(root / "data")
    yield from _artifacts(root / "artifacts")
    yield from _models(root / "models", bert)
    yield from _stores(root / "stores")
    yield from _checkpoints(root / "checkpoints")


def _data(root: Path) -> Iterator[Kind]:
    storage = Storage(Layout(root))
    uploads = Uploads(storage.datasets, storage.layout.tables, 1 << 20)

    def uploaded(name: str, data: bytes) -> Dataset:
        with uploads.receive(name, "", "") as upload:
            upload.write(data)
            return upload.finish()

    def rows(dataset: Dataset) -> Any:
        file = str(uploads.path(dataset))
        record = SourceRecord("dataset", file, dataset.format, dataset.identifier, sha256=dataset.sha256)
        return record.open(storage).rows.to_pydict()

    table, archive = uploaded("rows.csv", ROWS), uploaded("rows.zip", zipped({"rows.csv": ROWS}))
    everything = lambda: list(uploads.all())  # noqa: E731
    yield Kind(
        "dataset.json", uploads.path(table).with_name("dataset.json"), lambda: uploads.get(table.identifier), everything
    )
    yield Kind("data.csv", uploads.path(table), lambda: rows(table), everything)
    yield Kind("data.zip", uploads.path(archive), lambda: rows(archive), everything)
    digest = hashlib.sha256(ROWS).hexdigest()
    [converted] = storage.layout.tables.glob(f"{digest}-csv*.arrow")
    yield Kind("tables/*.arrow", converted, lambda: rows(table))
    [index] = storage.layout.tables.glob("*.index")
    yield Kind("tables/*.index", index, lambda: rows(archive))
    [extracted] = storage.layout.tables.glob("*.csv")
    yield Kind("tables/*.csv", extracted, lambda: rows(archive))
    inline = root / "jobs" / "j" / "dataset.csv"
    inline.parent.mkdir(parents=True)
    inline.write_bytes(ROWS)
    record = SourceRecord("dataset", str(inline), "csv", sha256=digest)
    yield Kind("inline table", inline, lambda: record.open(storage).rows.to_pydict())


def _artifacts(root: Path) -> Iterator[Kind]:
    registry = ArtifactRegistry(SharedFolders(root))
    identifier = publish(registry).identifier
    folder = registry.folders.path(identifier)

    def sent() -> bytes:
        return registry.file(identifier, "model.onnx", 0)[0].read_bytes()

    yield Kind(
        ".artifact.json", folder / ".artifact.json", lambda: registry.get(identifier), lambda: list(registry.all())
    )
    yield Kind("artifact file", folder / "model.onnx", sent, lambda: list(registry.all()))


def _models(root: Path, bert: Path) -> Iterator[Kind]:
    saved_bundle(root, bert, trainable=False)
    registry, encoder_store = (
        ModelRegistry(SharedFolders(root / "models")),
        EncoderStore(SharedFolders(root / "encoder_store")),
    )

    def answer() -> Any:
        bundle = registry.get("m1")
        state = bundle.model(encoder_store, with_encoders=True).state_dict()
        return bundle.details, bundle.sample().to_pydict(), {name: value.tolist() for name, value in state.items()}

    def listed() -> Any:
        return list(registry.all())

    for name in ("bundle.json", "head.safetensors", "sample.arrow"):
        yield Kind(name, root / "models" / "m1" / name, answer, listed)
    [kept] = (root / "encoder_store").glob("[!.]*")
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        yield Kind(f"kept {name}", kept / name, answer, listed)


def _stores(root: Path) -> Iterator[Kind]:
    keys = keys_of([f"row {row}" for row in range(64)])
    space = EmbeddingStore(root / "embeddings").space(space_of())
    space.add(keys, embedding_of(keys))
    [shard] = (space.folder / "shards").glob("*.safetensors")

    def gathered() -> Any:
        store = EmbeddingStore(root / "embeddings").space(space_of())
        store.refresh()
        out = np.zeros((len(keys), store.space.dimension), np.float32)
        return None if len(store.gather(keys, out).unreadable) else out.tolist()

    listed = lambda: EmbeddingStore(root / "embeddings").summaries()  # noqa: E731
    yield Kind("space.json", space.folder / "space.json", gathered, listed)
    yield Kind("shard", shard, gathered, listed)
    cache = TokenCache(root / "tokens")
    path = cache.path("p", 8, keys)
    (root / "tokens").mkdir()
    column = TokenColumn(np.arange(300, dtype=np.int32), np.arange(0, 301, 3, dtype=np.int64))
    cache.save(path, column)

    def tokens() -> Any:
        found = cache.load(path)
        return None if found is None else (found.ids.tolist(), found.offsets.tolist())

    yield Kind("tokens", path, tokens)


def _checkpoints(root: Path) -> Iterator[Kind]:
    folders = SharedFolders(root)
    state = CheckpointState({"w": torch.arange(40.0)}, {"w": torch.ones(40)}, {"m": torch.zeros(9)}, {"step": 3})
    save_checkpoint(folders, Progress(1, 3, None, 0), state)

    def resumed() -> Any:
        found = load_checkpoint(folders)
        if found is None:
            return None
        weights = found.read("model", lambda _, shape, dtype: torch.empty(shape, dtype=dtype))
        return found.progress, found.values, weights["w"].tolist()

    for name in ("progress.json", "state.safetensors"):
        yield Kind(f"checkpoint {name}", folders.path("epoch-1") / name, resumed)
