"""Peak memory of this process, as Linux counts it."""

import re
from pathlib import Path

_STATUS = Path("/proc/self/status")


class PeakMemory:
    """Growth of the largest resident size since it was made."""

    def __init__(self) -> None:
        self._reset()
        self._before = _field("VmRSS")

    def growth(self) -> int:
        """Bytes."""
        return _field("VmHWM") - self._before

    def _reset(self) -> None:
        """Forgets the peak of the imports; a kernel that refuses leaves an upper bound."""
        try:
            Path("/proc/self/clear_refs").write_text("5")
        except OSError:
            return


def allocated() -> int:
    """Bytes of this process's own that are in memory now; mapped files do not count."""
    return _field("RssAnon")


def _field(name: str) -> int:
    found = re.search(rf"^{name}:\s*(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError("peak memory is read from /proc, which this system lacks")
    return int(found.group(1)) * 1024
