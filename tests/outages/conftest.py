"""Rows and weights of the tests of outages."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import reviews
from tests.support.tiny_models import save_bert


@pytest.fixture(scope="session")
def model_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Has a tiny encoder."""
    root = tmp_path_factory.mktemp("models")
    save_bert(root / "tiny-bert")
    return root


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Has some rows."""
    root = tmp_path_factory.mktemp("data")
    reviews.write_csv(root / "reviews.csv", reviews.make_rows(240))
    return root
