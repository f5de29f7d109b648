"""How much a run measures: the whole thing, or a quick look."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Bench:
    """One run's surroundings, handed to every benchmark."""

    quick: bool
    data_root: Path
    """Folder with the real data sets; it need not exist."""
    scratch: Path
    """An empty folder that goes away after the benchmark."""
    out: Path
    """Where pictures go."""

    def pick(self, full: T, quick: T) -> T:
        """The value for this run's scale."""
        return quick if self.quick else full
