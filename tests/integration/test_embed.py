"""`Embed` answers in fp32, as Predict does, on every machine; in another precision only where the request says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import headstart
import numpy as np
import pytest
import torch
import transformers

from tests.support import reviews

pytestmark = pytest.mark.both_arithmetics
TEXTS = ["great film", "awful", "not a great film at all, and far too long"]


def feature(**preprocessing: Any) -> dict[str, Any]:
    """The text input of a spec as jobs have it."""
    found: dict[str, Any] = reviews.spec()["input_features"][0]
    return {**found, "preprocessing": {**found.get("preprocessing", {}), **preprocessing}}


def reference(folder: Path) -> np.ndarray[Any, Any]:
    """What transformers gives for each text alone, in fp32, mean-pooled."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        rows = [model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0) for text in TEXTS]
    return torch.stack(rows).numpy()


def test_it_computes_in_fp32_whatever_is_fast(client: headstart.Client, model_root: Path) -> None:
    found = client.embed(feature(), TEXTS)
    assert found.precision == "fp32"
    np.testing.assert_allclose(list(found), reference(model_root / "tiny-bert"), atol=2e-6)


def test_an_empty_text_alone_is_embedded_as_it_is_among_others(client: headstart.Client) -> None:
    alone, among = list(client.embed(feature(), [""])), list(client.embed(feature(), ["great film", ""]))
    assert np.isfinite(alone[0]).all()
    np.testing.assert_allclose(alone[0], among[1], atol=2e-6)
    assert not np.allclose(among[0], among[1])


def test_auto_is_what_a_job_would_choose(client: headstart.Client, arithmetic: str) -> None:
    found = client.embed(feature(embedding_precision="auto"), TEXTS)
    assert found.precision == arithmetic
    described = {space.name: space.description for space in client.embedding_spaces.list()}
    assert described[found.embedding_space]["precision"] == arithmetic
    assert (found.embedding_space == client.embed(feature(), TEXTS).embedding_space) == (arithmetic == "fp32")


def test_a_jobs_space_is_read_where_it_is_named(client: headstart.Client, arithmetic: str) -> None:
    client.train(reviews.spec(epochs=1), headstart.ServerPath("reviews.csv")).result()
    rows = [row["review"] for row in reviews.make_rows(240)[:5]]
    space = client.embed(feature(embedding_precision="auto"), rows).embedding_space
    found = client.embed(feature(), rows, embedding_space=space)
    assert (found.precision, found.embedding_space, found.rows_found) == (arithmetic, space, len(rows))


def test_a_space_of_another_limit_is_refused_by_name(client: headstart.Client) -> None:
    space = client.embed(feature(max_sequence_length=7), TEXTS).embedding_space
    with pytest.raises(headstart.InvalidArgument, match="is no space of this feature") as caught:
        client.embed(feature(), TEXTS, embedding_space=space)
    assert [violation.field for violation in caught.value.violations] == ["embedding_space"]


def test_a_space_and_a_precision_exclude_each_other(client: headstart.Client) -> None:
    space = client.embed(feature(), TEXTS).embedding_space
    with pytest.raises(headstart.InvalidArgument, match="send one of them"):
        client.embed(feature(embedding_precision="bf16"), TEXTS, embedding_space=space)
