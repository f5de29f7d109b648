"""Rows that are not drawn are not encoded, rows that are drawn again are encoded once, in one process or in several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from headstart_server.data.parts import Part
from headstart_server.engines.assembly import Assembly
from headstart_server.engines.preparing import fill_store, stored_inputs

from tests.support import reviews
from tests.support.envelopes import job_of
from tests.support.image_jobs import RecordingListener
from tests.support.tiny_models import save_bert
from tests.unit.server.engines.test_encode_pool import Turns, equal_inputs, prepared_of

RARE = 40
ROWS = 400


@pytest.fixture
def reviewed(tmp_path: Path) -> Path:
    """400 distinct texts, 40 of them positive."""
    save_bert(tmp_path / "models" / "tiny-bert")
    rows = reviews.make_rows(ROWS)
    for index, row in enumerate(rows):
        row["verdict"] = "positive" if index % (ROWS // RARE) == 0 else "negative"
    return reviews.write_csv(tmp_path / "reviews.csv", rows)


def _spec(**preprocessing: Any) -> dict[str, Any]:
    return {**reviews.spec(), "preprocessing": {"split": {"type": "stratify", "column": "verdict"}, **preprocessing}}


SAMPLED = [{"sample_size": 100}, {"sample_ratio": 0.25}, {"undersample_majority": 0.5}]


@pytest.mark.parametrize("preprocessing", SAMPLED, ids=str)
def test_a_row_that_is_not_drawn_is_not_encoded(tmp_path: Path, reviewed: Path, preprocessing: dict[str, Any]) -> None:
    recorded = RecordingListener()
    alone, own = prepared_of(job_of(tmp_path / "alone", reviewed, _spec(**preprocessing)), recorded)
    stored = stored_inputs(alone, own, recorded)["review"].embeddings
    kept = np.flatnonzero(alone.plan.data.parts != Part.DROPPED)
    assert recorded.progress[-1][1].encoded == len(kept) < ROWS
    assert len(np.unique(stored.numpy()[kept], axis=0)) > 1
    job = job_of(tmp_path / "together", reviewed, _spec(**preprocessing))
    prepared, runtime = prepared_of(job, RecordingListener())
    encode_pool = Turns(job)
    survey = fill_store(prepared, runtime, RecordingListener(), encode_pool)
    assert sorted(encode_pool.given) == kept.tolist()
    member, _ = prepared_of(job, RecordingListener(), survey=survey)
    equal_inputs(member, alone, runtime, own)


def test_a_row_that_is_drawn_again_is_encoded_once_and_tells_of_it(tmp_path: Path, reviewed: Path) -> None:
    recorded = RecordingListener()
    prepared, runtime = prepared_of(job_of(tmp_path, reviewed, _spec(oversample_minority=1.0)), recorded)
    stored = stored_inputs(prepared, runtime, recorded)
    last = recorded.progress[-1][1]
    assert (last.encoded, last.repeated, last.total) == (ROWS, 0, ROWS)
    rows = Assembly(prepared.plan.spec, prepared.plan.inputs, prepared.plan.data, stored, runtime)
    feed = rows.feed(rows.model())
    verdict = prepared.plan.data.array(prepared.plan.data.outputs[0])[feed.parts[Part.TRAIN].numpy()]
    once = len(prepared.plan.data.rows(Part.TRAIN))
    assert np.bincount(verdict).tolist() == [252, 252] and once == 280
    resolved = prepared.plan.resolution.resolved["preprocessing.oversample_minority"]
    assert resolved.reason == "224 of an epoch's 504 rows are rows of rarer labels drawn again"
    assert feed.count(Part.VALIDATION) == len(prepared.plan.data.rows(Part.VALIDATION)) == 40
    job = job_of(tmp_path, reviewed, _spec(oversample_minority=1.0))
    survey = fill_store(prepared, runtime, RecordingListener(), Turns(job))
    member, _ = prepared_of(job, RecordingListener(), survey=survey)
    assert np.array_equal(member.plan.data.epoch_rows(), prepared.plan.data.epoch_rows())
