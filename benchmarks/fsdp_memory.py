"""What FSDP saves: memory of each of 1, 2 and 4 processes that train one large encoder together."""

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import transformers

from benchmarks.support.report import Column, Report, Table
from benchmarks.support.scale import Bench

_MIB = "{:,.0f} MiB"
_COLUMNS = (
    Column("strategy", "strategy"),
    Column("size", "processes"),
    Column("parameters", "parameters held", _MIB),
    Column("share", "of the model", "{:.3f}"),
    Column("optimizer", "optimizer's state held", _MIB),
    Column("allocated", "allocated after two steps", _MIB),
    Column("over", "of one process", "{:.2f}"),
    Column("loading", "at most while loading", _MIB),
)
_ROOT = Path(__file__).resolve().parent.parent


def run(bench: Bench) -> Report:
    """Random weights of BERT's architecture; each process is one of its own."""
    weights, millions = _save(bench)
    rows: list[dict[str, Any]] = []
    for strategy, sizes in (("fsdp", (1, 2, 4)), ("ddp", (1, 2, 4))):
        for size in sizes:
            found = _largest(_together(weights, strategy, size))
            first = rows[0]["allocated"] if rows else found["allocated"] / 2**20
            rows.append(
                {
                    "strategy": strategy,
                    "size": size,
                    "parameters": found["parameters"] / 2**20,
                    "share": found["parameters"] / found["model"],
                    "optimizer": found["optimizer"] / 2**20,
                    "allocated": found["allocated"] / 2**20,
                    "over": found["allocated"] / 2**20 / first,
                    "loading": found["loading"] / 2**20,
                }
            )
    return Report(
        "fsdp_memory",
        "How much of a model, and how much memory, each of several processes holds.",
        f"random weights, {millions:.0f} million parameters, float32, AdamW; 2 rows of 32 tokens a process",
        [Table(_COLUMNS, rows)],
        [
            "Of the process that holds most. Allocated is what the process has grown by since before it loaded the "
            "model, mapped files left out: parameters, optimizer's state, and what allocators keep of gradients, "
            "activations and messages.",
            "While loading, the largest growth of what is resident, mapped files included. Under fsdp each process "
            "reads its part of the files; one process alone under ddp leaves its parameters in the mapped file until a "
            "step needs them.",
        ],
    )


def _save(bench: Bench) -> tuple[Path, float]:
    width, layers = bench.pick((768, 12), (128, 2))
    config = transformers.BertConfig(
        hidden_size=width, num_hidden_layers=layers, intermediate_size=4 * width, num_attention_heads=width // 64
    )
    model = transformers.BertModel(config, add_pooling_layer=False)
    folder = bench.scratch / "weights"
    model.save_pretrained(folder)
    return folder, sum(parameter.numel() for parameter in model.parameters()) / 1e6


def _together(weights: Path, strategy: str, size: int) -> list[dict[str, float]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "benchmarks.support.sharded", str(weights), strategy]
    processes = [
        subprocess.Popen([*command, str(rank), str(size), str(port)], stdout=subprocess.PIPE, text=True, cwd=_ROOT)
        for rank in range(size)
    ]
    answers = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise RuntimeError(f"a process of {size} that trained by {strategy} failed")
    return [json.loads(answer.splitlines()[-1]) for answer in answers]


def _largest(found: list[dict[str, float]]) -> dict[str, float]:
    return {name: max(item[name] for item in found) for name in found[0]}
