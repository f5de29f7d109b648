"""Every kind of stored file, flipped and cut: no other answer, no list down. `make damage` tries far more."""

from __future__ import annotations

from pathlib import Path

from tests.damage.run import damage_all


def test_no_damaged_file_gives_another_answer(tmp_path: Path) -> None:
    counts, faults = damage_all(tmp_path, 3, seed=1)
    assert faults == []
    assert len(counts) == 20
