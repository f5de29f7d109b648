"""The machine that a run happened on: numbers without it mean little."""

import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from headstart_server.encoders.precision import fast_precision


def device() -> torch.device:
    """The device that the product would take."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def auto_precision() -> str:
    """The precision that the product takes for frozen encoders on this machine."""
    return fast_precision(device().type)


def synchronise() -> None:
    """Waits for the device, so that a clock sees its work."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


@contextmanager
def one_thread() -> Iterator[None]:
    """Operations on one core: small ones are faster so, and do not wait for a neighbour's work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def describe() -> dict[str, Any]:
    """Processor, threads, load, versions, and the precision that this machine computes fastest."""
    return {
        "processor": torch.cuda.get_device_name() if torch.cuda.is_available() else _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "auto_precision": auto_precision(),
    }


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", path.read_text(), re.MULTILINE) if path.exists() else None
    return found.group(1) if found else platform.processor() or platform.machine()
