"""Files of predictions are made of parts, which outlive a process that dies, and are trusted only where whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from headstart_server.core.layout import Layout
from headstart_server.core.names import new_id
from headstart_server.data.images.decode import ImageLimits
from headstart_server.data.source import SourceRecord
from headstart_server.data.tables import Table, table_of_arrow
from headstart_server.embedding_store.store import EmbeddingStore
from headstart_server.engines.envelopes import PredictionsOrder
from headstart_server.export import predictions
from headstart_server.export.artifacts import Artifact
from headstart_server.export.predictions import PredictionsFile
from headstart_server.serving.inputs import Reuse
from headstart_server.serving.rows import Answer

from tests.support import reviews, tiny_models
from tests.support.exports import Exports, trained

ROWS, PART = 50, 16


@dataclass
class Asked:
    """A model, what it is asked, and which rows it was asked about."""

    exports: Exports
    root: Path
    order: PredictionsOrder = field(default_factory=lambda: PredictionsOrder(SourceRecord("dataset", "", "csv")))
    windows: list[int] = field(default_factory=list)
    told: list[int] = field(default_factory=list)
    """How many rows are done, each time that it is told."""
    fails_at: int = -1

    def write(self, **changes: Any) -> tuple[Artifact, pa.Table]:
        """The artifact and the file's rows."""
        rows = reviews.make_rows(ROWS, seed=7)
        table = table_of_arrow(pa.table({name: [row[name] for row in rows] for name in rows[0]}), "dataset")
        store = EmbeddingStore(Layout(self.root / "state").embeddings)
        predictor = self.exports.pool.get("", self.exports.model)
        order = PredictionsOrder(self.order.source, **changes)
        file = _File(self.exports.model, predictor, order, table, store, ImageLimits(), self.root / "parts", self._say)
        object.__setattr__(file, "asked", self)
        artifact = file.write(self.exports.artifacts, new_id())
        folder = self.exports.artifacts.folders.root / artifact.identifier
        return artifact, pq.read_table(folder / predictions.FILE)

    def _say(self, stage: str, message: str, done: int, total: int) -> None:
        if stage == "predict":
            self.told.append(done)


class _File(PredictionsFile):
    asked: Asked

    def _answer(self, table: Table, start: int) -> Answer:
        self.asked.windows.append(start)
        if start == self.asked.fails_at:
            raise RuntimeError("the process dies")
        return super()._answer(table, start)


@pytest.fixture(scope="module", params=[{}, {"trainable": True}], ids=["frozen", "trained"])
def models(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Exports]:
    root = tmp_path_factory.mktemp("predictions")
    tiny_models.save_bert(root / "models" / "bert")
    return root, trained(root, "bert", **request.param)


@pytest.fixture
def asked(models: tuple[Path, Exports], monkeypatch: pytest.MonkeyPatch) -> Asked:
    monkeypatch.setattr(predictions, "_ROWS", PART)
    return Asked(models[1], models[0])


def test_parts_that_are_there_are_not_made_again(asked: Asked) -> None:
    asked.fails_at = 32
    with pytest.raises(RuntimeError, match="the process dies"):
        asked.write()
    asked.fails_at, asked.windows = -1, []
    artifact, found = asked.write()
    assert asked.windows == [32, 48] and found.num_rows == artifact.row_count == ROWS
    assert not (asked.root / "parts").exists()


def test_a_damaged_part_is_made_again(asked: Asked) -> None:
    asked.fails_at = 48
    with pytest.raises(RuntimeError):
        asked.write(probabilities=True)
    part = asked.root / "parts" / "000000000016.parquet"
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    asked.fails_at, asked.windows = -1, []
    _, found = asked.write(probabilities=True)
    assert asked.windows == [16, 48]
    assert np.abs(_probabilities(found) - _predicted(asked)).max() < 1e-5


@pytest.mark.parametrize("reuse", list(Reuse))
def test_answers_are_those_of_predict_whatever_may_stand_in(asked: Asked, reuse: Reuse) -> None:
    _, found = asked.write(probabilities=True, reuse=reuse.value, columns=("price",))
    # those that `any` takes from training's own space are rounded as they are stored
    assert np.abs(_probabilities(found) - _predicted(asked)).max() < (1e-2 if reuse is Reuse.ANY else 1e-5)
    assert found.column("price").to_pylist() == [row["price"] for row in reviews.make_rows(ROWS, seed=7)]


@pytest.mark.parametrize("reuse", ["exact", "none"])
def test_rows_are_done_when_every_column_of_them_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reuse: str
) -> None:
    monkeypatch.setattr(predictions, "_ROWS", PART)
    tiny_models.save_bert(tmp_path / "models" / "bert")
    asked = Asked(trained(tmp_path, "bert", texts=["category"]), tmp_path)
    asked.write(reuse=reuse)
    assert asked.told == sorted(asked.told) and asked.told[-1] == ROWS
    assert {8, 16, 24, 32} <= set(asked.told)


def _probabilities(found: pa.Table) -> np.ndarray:
    columns = [name for name in found.schema.names if name.startswith("verdict_probability_")]
    return np.stack([found.column(name).to_numpy() for name in columns], 1)


def _predicted(asked: Asked) -> np.ndarray:
    rows = reviews.make_rows(ROWS, seed=7)
    table = table_of_arrow(pa.table({name: [row[name] for row in rows] for name in rows[0]}), "table")
    predictor = asked.exports.pool.get("", asked.exports.model)
    return np.asarray(predictor.predict(predictor.rows(table), Reuse.NONE).outputs["verdict"])
