"""The arithmetic that models are served in: chosen by the server's setting, and by how close their answers stay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.tables import table_of_arrow
from headstart_server.embedding_store.key import keys_of_texts
from headstart_server.embedding_store.space import Space
from headstart_server.embedding_store.store import EmbeddingStore
from headstart_server.encoders.precision import PROCESS, adopt_precision
from headstart_server.model.bundle import Bundle
from headstart_server.model.encoder_store import EncoderStore
from headstart_server.model.registry import ModelRegistry
from headstart_server.serving import precision as precision_module
from headstart_server.serving.inputs import Reuse, ServedTexts
from headstart_server.serving.pool import ModelPool, TenantModels
from headstart_server.serving.precision import ServedPrecision, compared
from headstart_server.serving.predictor import Predictor
from headstart_server.storage.folders import SharedFolders

from tests.support.bundles import saved_bundle
from tests.support.tables import WHERE, fitted
from tests.support.training import CPU


@pytest.fixture(autouse=True)
def fast_in_bf16() -> Iterator[None]:
    before = PROCESS.settled()
    adopt_precision("bf16")
    yield
    PROCESS._answers.clear()
    PROCESS._answers.update(before)


def pool_of(root: Path, setting: str) -> ModelPool:
    own = TenantModels(ModelRegistry(SharedFolders(root / "models")), EmbeddingStore(root / "embeddings", threads=1))
    store = EncoderStore(SharedFolders(root / "encoder_store"))
    return ModelPool(lambda _: own, store, CPU, 1 << 30, precision=setting)


def answers_of(predictor: Predictor) -> np.ndarray:
    rows = predictor.rows(table_of_arrow(pa.table({"t": ["the good film", "bad"], "x": [1.0, 2.0]}), "table"))
    return predictor.predict(rows, Reuse.NONE).outputs["out"]


@pytest.mark.parametrize("trainable", [False, True])
@pytest.mark.parametrize("setting", ["auto", "bf16"])
def test_a_model_is_served_in_bf16_with_what_that_changes(
    tmp_path: Path, tiny_bert: Path, setting: str, *, trainable: bool
) -> None:
    saved_bundle(tmp_path, tiny_bert, trainable=trainable)
    exact = pool_of(tmp_path, "fp32").get("", "m1")
    pool = pool_of(tmp_path, setting)
    assert pool.served("", "m1") is None
    found = pool.get("", "m1")
    assert pool.served("", "m1") is found.served
    assert (found.served.precision, found.served.compared, found.served.rows) == ("bf16", "bf16", 3)
    assert found.served.changed_answers == 0
    assert 0 < found.served.largest_difference < 0.05
    assert exact.served == ServedPrecision()
    difference = np.abs(answers_of(found) - answers_of(exact)).max()
    assert 0 < difference < 0.05


@pytest.mark.parametrize(("setting", "served"), [("auto", "fp32"), ("bf16", "bf16")])
def test_auto_stays_exact_where_answers_would_differ_by_too_much(
    tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch, setting: str, served: str
) -> None:
    monkeypatch.setattr(precision_module, "MOST_DIFFERENCE", 0.0)
    saved_bundle(tmp_path, tiny_bert, trainable=False)
    found = pool_of(tmp_path, setting).get("", "m1")
    assert (found.served.precision, found.served.compared) == (served, "bf16")
    exact = pool_of(tmp_path, "fp32").get("", "m1")
    assert (answers_of(found) == answers_of(exact)).all() == (served == "fp32")


def test_auto_is_exact_where_nothing_else_is_fast(tmp_path: Path, tiny_bert: Path) -> None:
    adopt_precision("fp32")
    saved_bundle(tmp_path, tiny_bert, trainable=False)
    assert pool_of(tmp_path, "auto").get("", "m1").served == ServedPrecision()


def test_models_on_one_frozen_encoder_share_it_in_both(
    tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("m1", "m2", "m3"):
        saved_bundle(tmp_path, tiny_bert, trainable=False, name=name)
    load, loaded = Bundle.encoder, list[str]()

    def counted(bundle: Bundle, *args: Any) -> Any:
        loaded.append(bundle.folder.name)
        return load(bundle, *args)

    monkeypatch.setattr(Bundle, "encoder", counted)
    pool = pool_of(tmp_path, "auto")
    assert len({pool.get("", name).reads for name in ("m1", "m2", "m3")}) == 1
    assert loaded == ["m1", "m1"]


def test_stored_rows_of_the_served_arithmetic_are_answers(tmp_path: Path) -> None:
    texts = pa.array(["one", "two"], pa.large_string())
    keys = keys_of_texts(texts)
    space = Space("text", "weights", "preparation", "mean", 16, "bf16", 4)
    store = EmbeddingStore(tmp_path, threads=1).space(space)
    store.add(keys[:1], np.ones((1, 4), np.float32))
    encoder: Any = type("Encoder", (), {"dimension": 4})()
    preparation: Any = None
    found = {
        served: ServedTexts(encoder, preparation, store, CPU, served).stored(keys, Reuse.EXACT)[1].tolist()
        for served in ("bf16", "fp32")
    }
    assert found == {"bf16": [True, False], "fp32": [False, False]}


def _compared(feature: FittedFeature, exact: list[Any], found: list[Any], setting: str = "auto") -> ServedPrecision:
    left, right = ({feature.name: np.array(values, np.float32)} for values in (exact, found))
    return compared([feature], left, right, setting, "bf16")


def test_answers_that_change_are_counted_by_what_is_predicted() -> None:
    category = fitted(["a", "b", "c"], "category", output=True)
    found = _compared(category, [[0.5, 0.49, 0.01], [1, 0, 0]], [[0.49, 0.5, 0.01], [1, 0, 0]])
    assert (found.precision, found.rows, found.changed_answers) == ("fp32", 2, 1)
    assert found.largest_difference == pytest.approx(0.01)
    items = fitted(["a b", "b"], "set", output=True)
    assert _compared(items, [[0.6, 0.4], [0.1, 0.9]], [[0.6, 0.41], [0.1, 0.88]]).changed_answers == 0
    binary = fitted(["no", "yes"], "binary", output=True)
    found = _compared(binary, [0.51, 0.2], [0.49, 0.2], "bf16")
    assert (found.precision, found.changed_answers) == ("bf16", 1)


def test_numbers_are_close_in_their_standard_deviations() -> None:
    number = fitted([1.0, 2.0, 4.0], "number", output=True)
    close, far, broken = (_compared(number, [0.1, 0.2], [0.1, last]) for last in (0.21, 0.3, float("nan")))
    assert (close.precision, close.changed_answers) == ("bf16", 0)
    assert far.precision == broken.precision == "fp32"
    assert far.largest_difference == pytest.approx(0.1)


def test_nothing_compared_is_no_reason_to_change() -> None:
    number = fitted([1.0, 2.0, 4.0], "number", output=True)
    assert compared([number], {}, {}, "auto", "bf16") == ServedPrecision("fp32", "bf16")
    assert compared([number], {}, {}, "bf16", "bf16") == ServedPrecision("bf16", "bf16")


@pytest.mark.parametrize(("most", "kept"), [(0.05, ":bf16"), (0.0, ":fp32")])
def test_a_fine_tuned_encoder_is_kept_in_one_arithmetic(
    tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch, most: float, kept: str
) -> None:
    monkeypatch.setattr(precision_module, "MOST_DIFFERENCE", most)
    saved_bundle(tmp_path, tiny_bert, trainable=True)
    pool = pool_of(tmp_path, "auto")
    pool.get("", "m1")
    [key] = pool._encoders
    assert key.endswith(kept)


def test_a_sample_that_cannot_be_read_leaves_a_model_as_it_is(
    tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved_bundle(tmp_path, tiny_bert, trainable=False)
    monkeypatch.setattr(Bundle, "sample", lambda _: pa.table({"t": ["a"], "x": ["no number"]}))
    assert pool_of(tmp_path, "auto").get("", "m1").served == ServedPrecision("fp32", "bf16")


@pytest.mark.parametrize("normalization", ["zscore", "minmax", "iq", "none"])
def test_numbers_differ_by_their_own_deviation_however_they_are_normalised(normalization: str) -> None:
    values = np.random.default_rng(0).normal(5.0, 0.001, 500)
    feature = fitted(values.tolist(), "number", output=True, normalization=normalization)
    exact = feature.transform(pa.array(values), WHERE)
    away = feature.transform(pa.array(values + 20 * values.std()), WHERE)
    found = compared([feature], {feature.name: exact}, {feature.name: away}, "auto", "bf16")
    assert found.largest_difference == pytest.approx(20, rel=0.01)
    assert found.precision == "fp32"
