"""Stores whose blocks are small."""

from __future__ import annotations

import pytest
from headstart_server.embedding_store import shard


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of three rows."""
    monkeypatch.setattr(shard, "BLOCK_BYTES", 96)
