"""Which arithmetic a device does fast: measured on CPUs, once per machine; known by capability on GPUs; or as told."""

import platform
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch

from headstart_server.core.errors import StoreFullError
from headstart_server.core.files import read_json, write_json

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_WORTH_IT = 1.3
CPUINFO = Path("/proc/cpuinfo")
AUTO = "auto"


class Precisions:
    """Which arithmetic each type of device does fast, as one process knows it."""

    def __init__(self, measure: Callable[[], str] | None = None, cpuinfo: Path = CPUINFO) -> None:
        self._measure, self._cpuinfo = measure or fast_on_cpu, cpuinfo
        self._answers: dict[str, str] = {}
        self._told: set[str] = set()
        """Device types whose answer the server's settings gave."""

    def fast(self, device_type: str) -> str:
        """See fast_precision."""
        if device_type not in self._answers:
            self._answers[device_type] = _fast_on_cuda() if device_type == "cuda" else self._measure()
        return self._answers[device_type]

    def why(self, device_type: str) -> str:
        """See why_fast."""
        if device_type in self._told:
            return "what the server's setting fast_precision takes for fast"
        return f"the fastest that this machine's {device_type} measures"

    def settle(self, kept: Path, setting: str = AUTO) -> str:
        """See settle_precision."""
        if setting != AUTO:
            for device_type in ("cpu", "cuda"):
                self.adopt(setting, device_type)
                self._told.add(device_type)
            return setting
        machine = f"{cpu_name(self._cpuinfo)}, torch {torch.__version__}"
        known = _read(kept)
        answer = known.get(machine)
        if answer not in DTYPES:
            answer = self._measure()
            with suppress(StoreFullError, OSError):  # it holds for this server all the same
                write_json(kept, {**known, machine: answer})
        self.adopt(answer)
        return answer

    def adopt(self, answer: str, device_type: str = "cpu") -> None:
        """See adopt_precision."""
        self._answers[device_type] = answer
        self._told.discard(device_type)

    def settled(self) -> dict[str, str]:
        """See settled_precisions."""
        return dict(self._answers)


def fast_precision(device_type: str) -> str:
    """`fp32`, `bf16` or `fp16`: the fastest that is safe for encoders on `cpu` or `cuda`.

    CPUs differ by an order of magnitude (bf16 is 4 times fp32 with AVX-512 BF16 and a fifth of it without), so the
    answer is measured: bf16 must beat fp32 by 1.3 in matrix products of encoder shape. Takes some 10 ms, once.
    """
    return PROCESS.fast(device_type)


def why_fast(device_type: str) -> str:
    """A clause that says where the answer of `fast_precision` comes from."""
    return PROCESS.why(device_type)


def settle_precision(kept: Path, setting: str = AUTO) -> str:
    """Takes the CPU's answer from the file `kept`, or measures it and keeps it there; returns it.

    A `setting` other than `auto` is the answer for every device, and nothing is measured: torch computes any of these
    types anywhere, only slower.

    A measurement that fell out otherwise would be another embedding space, and every row encoded again: so it is made
    once per CPU model and version of torch, whatever restarts.
    """
    return PROCESS.settle(kept, setting)


def adopt_precision(answer: str, device_type: str = "cpu") -> None:
    """Takes a device's answer from the process that settled it."""
    PROCESS.adopt(answer, device_type)


def settled_precisions() -> dict[str, str]:
    """The answers that this process has, by device type, for other processes to adopt."""
    return PROCESS.settled()


def compute_fp32_exactly() -> None:
    """Turns TF32 off, which keeps 10 bits of mantissa and which cuDNN's convolutions use unless told otherwise.

    What Predict, Embed and exports answer in fp32 is then the same on a GPU as on a CPU, to rounding.
    """
    torch.backends.cuda.matmul.allow_tf32 = False
    # Not `cudnn.conv.fp32_precision`: set alone, it makes everything that reads the flag of all operators raise.
    torch.backends.cudnn.allow_tf32 = False


def _fast_on_cuda() -> str:
    """Where others have the GPUs, and this process plans for them, they are taken to be of this decade."""
    if not torch.cuda.is_available():
        return "bf16"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def fast_on_cpu(product_seconds: Callable[[torch.dtype], float] | None = None) -> str:
    """`bf16` or `fp32`, by how long matrix products of encoder shape take in both."""
    seconds = product_seconds or _product_seconds
    return "bf16" if seconds(torch.float32) / seconds(torch.bfloat16) > _WORTH_IT else "fp32"


def _product_seconds(dtype: torch.dtype) -> float:
    # The wide product in each of MiniLM's blocks: 384 to 1,536.
    left, right = torch.randn(1024, 384).to(dtype), torch.randn(384, 1536).to(dtype)
    best = float("inf")
    for _ in range(6):
        start = time.perf_counter()
        left @ right
        # The shortest time counts: whatever else runs on the machine only adds to it.
        best = min(best, time.perf_counter() - start)
    return best


def cpu_name(cpuinfo: Path = CPUINFO) -> str:
    """The processor's name and its bf16 instructions: virtual machines give different processors the same name."""
    found = {"model name": platform.processor() or platform.machine(), "flags": ""}
    with suppress(OSError):
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            found[name.strip()] = value.strip()
    instructions = sorted(flag for flag in found["flags"].split() if "bf16" in flag)
    return " ".join([found["model name"], *instructions])


def _read(kept: Path) -> dict[str, str]:
    """What is kept; nothing where it cannot be read."""
    try:
        found = read_json(kept)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


PROCESS = Precisions()
"""What this process knows."""
