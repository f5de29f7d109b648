"""Processes that form a world over gloo, as the workers of a distributed training do."""

from __future__ import annotations

import multiprocessing
import pickle
import tempfile
import traceback
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from headstart_server.model.world import World

_SECONDS = 120


def together(size: int, work: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What `work(world, *arguments)` returns in each of `size` processes, by rank; raises what any of them raises."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        pipes = [context.Pipe(duplex=False) for _ in range(size)]
        processes = [
            context.Process(
                target=_member, args=(rank, size, Path(folder) / "store", sender, work, arguments), daemon=True
            )
            for rank, (_, sender) in enumerate(pipes)
        ]
        for process in processes:
            process.start()
        try:
            answers = [_answer(receiver) for receiver, _ in pipes]
        finally:
            for process in processes:
                process.kill()
                process.join()
    failures = [failure for failure, _ in answers if failure]
    if failures:
        raise RuntimeError("\n".join(failures))
    return [found for _, found in answers]


def _answer(receiver: Connection) -> tuple[str, Any]:
    """Plain pickles: torch's own would ask the process for its memory, which may have gone."""
    found: tuple[str, Any] = pickle.loads(receiver.recv_bytes()) if receiver.poll(_SECONDS) else ("no answer", None)
    return found


def _member(
    rank: int, size: int, store: Path, sender: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    torch.set_num_threads(1)
    timeout = timedelta(seconds=_SECONDS)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=size, timeout=timeout)
    try:
        sender.send_bytes(pickle.dumps(("", work(World.joined(), *arguments))))
    except BaseException:  # noqa: BLE001 - told to the test
        sender.send_bytes(pickle.dumps((f"rank {rank}: {traceback.format_exc()}", None)))
    finally:
        dist.destroy_process_group()
