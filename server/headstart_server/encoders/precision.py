"""Which arithmetic a device does fast: measured once on CPUs, known by capability on GPUs."""

import time
from functools import lru_cache

import torch

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_WORTH_IT = 1.3


@lru_cache(maxsize=8)
def fast_precision(device_type: str) -> str:
    """`fp32`, `bf16` or `fp16`: the fastest that is safe for encoders on `cpu` or `cuda`.

    CPUs differ by an order of magnitude (bf16 is 4 times fp32 with AVX-512 BF16 and a fifth of it without), so the
    answer is measured: bf16 must beat fp32 by 1.3 in matrix products of encoder shape. Takes some 10 ms, once.
    """
    if device_type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    fp32, bf16 = _product_seconds(torch.float32), _product_seconds(torch.bfloat16)
    return "bf16" if fp32 / bf16 > _WORTH_IT else "fp32"


def _product_seconds(dtype: torch.dtype) -> float:
    left, right = torch.randn(1024, 384).to(dtype), torch.randn(384, 1536).to(dtype)
    best = float("inf")
    for _ in range(6):
        start = time.perf_counter()
        left @ right
        best = min(best, time.perf_counter() - start)
    return best
