"""Every test of the package runs on one thread, some with a BERT that no random numbers touch."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import tiny_models
from tests.support.threads import one_thread

__all__ = ["one_thread"]


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT without dropout."""
    return tiny_models.save_bert(tmp_path_factory.mktemp("together") / "bert", dropout=False)
