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

_SECONDS = 300
_IMPORTED_ONCE = [
    __name__,
    "tests.support.trainings",
    "transformers.models.bert.modeling_bert",
    "torch.distributed.fsdp",
]
"""By the process that all are forked from; to import it takes longer than what they are asked to do."""


class Together:
    """`size` processes that do what they are told to, together. Use as a context."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._folder = tempfile.TemporaryDirectory()
        self._pipes: list[Connection] = []
        self._processes: list[Any] = []

    def __enter__(self) -> Together:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_IMPORTED_ONCE)
        store = Path(self._folder.name) / "store"
        for rank in range(self._size):
            here, there = context.Pipe()
            process = context.Process(target=_member, args=(rank, self._size, store, there), daemon=True)
            process.start()
            self._pipes.append(here)
            self._processes.append(process)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.join()
        self._folder.cleanup()

    def __call__(self, work: Callable[..., Any], *arguments: Any) -> list[Any]:
        """What `work(world, *arguments)` returns in each process, by rank; raises what any of them raises."""
        for pipe in self._pipes:
            pipe.send_bytes(pickle.dumps((work, arguments)))
        answers = [_answer(pipe) for pipe in self._pipes]
        failures = [failure for failure, _ in answers if failure]
        if failures:
            raise RuntimeError("\n".join(failures))
        return [found for _, found in answers]


def _answer(pipe: Connection) -> tuple[str, Any]:
    """Plain pickles: torch's own would ask the process for its memory, which may have gone."""
    found: tuple[str, Any] = pickle.loads(pipe.recv_bytes()) if pipe.poll(_SECONDS) else ("no answer", None)
    return found


def _member(rank: int, size: int, store: Path, pipe: Connection) -> None:
    torch.set_num_threads(1)
    timeout = timedelta(seconds=_SECONDS)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=size, timeout=timeout)
    while True:
        work, arguments = pickle.loads(pipe.recv_bytes())
        try:
            answer = "", work(World.joined(), *arguments)
        except BaseException:  # noqa: BLE001 - told to the test
            answer = f"rank {rank}: {traceback.format_exc()}", None
        pipe.send_bytes(pickle.dumps(answer))
