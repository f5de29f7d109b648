"""A table that names images, and what a client sends of it."""

import csv
import io
import tarfile
from pathlib import Path
from typing import Any

from tests.support.fake_server import FakeServer

SPEC: dict[str, Any] = {
    "input_features": [{"name": "photo", "type": "image"}, {"name": "title", "type": "text"}],
    "output_features": [{"name": "label", "type": "category"}],
}
YAML = "input_features:\n- {name: photo, type: image}\n- {name: title, type: text}\n"
ROWS = [("images/b.jpg", "two", "x"), ("images/a.jpg", "one", "y"), ("", "none", "x"), ("images/b.jpg", "again", "y")]


def write_table(path: Path, rows: list[tuple[str, str, str]]) -> Path:
    """Writes (photo, title, label)."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("photo", "title", "label"), *rows])
    return path


def uploaded(server: FakeServer) -> dict[str, bytes]:
    """The one archive that was uploaded, as Python's own reader sees it."""
    [content] = server.datasets.contents.values()
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as file:
        opened: Any = file.extractfile
        return {member.name: opened(member).read() for member in file}
