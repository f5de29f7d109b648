"""Free memory is the nearer of the machine's and the container's, and cached files do not count as used."""

from pathlib import Path

import pytest
from headstart_server.core import memory


@pytest.fixture
def cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    return tmp_path


def test_without_a_limit_it_is_the_machines(cgroup: Path) -> None:
    assert memory.available_bytes() > 0
    (cgroup / "memory.max").write_text("max\n")
    (cgroup / "memory.current").write_text("1000\n")
    assert memory.available_bytes() > 1_000


def test_a_containers_limit_counts_where_it_is_nearer(cgroup: Path) -> None:
    (cgroup / "memory.max").write_text("5000\n")
    (cgroup / "memory.current").write_text("3000\n")
    assert memory.available_bytes() == 2_000


def test_cached_files_can_be_given_back(cgroup: Path) -> None:
    (cgroup / "memory.max").write_text("5000\n")
    (cgroup / "memory.current").write_text("4900\n")
    (cgroup / "memory.stat").write_text("anon 900\ninactive_file 4000\nactive_file 0\n")
    assert memory.available_bytes() == 4_100


def test_it_is_never_negative(cgroup: Path) -> None:
    (cgroup / "memory.max").write_text("5000\n")
    (cgroup / "memory.current").write_text("6000\n")
    assert memory.available_bytes() == 0
