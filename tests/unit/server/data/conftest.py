"""What tests of data share."""

from __future__ import annotations

from pathlib import Path

import pytest
from headstart_server.data.uploads import Uploads
from headstart_server.storage.folders import SharedFolders


@pytest.fixture
def uploads(tmp_path: Path) -> Uploads:
    """Of at most 1,000 bytes each."""
    return Uploads(SharedFolders(tmp_path / "datasets"), tmp_path / "tables", max_bytes=1_000)
