"""Those who watch a server, in a process of the lowest priority: as if they were on other machines."""

import asyncio
import multiprocessing
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from typing import Any

import grpc
from headstart.v1 import training_pb2 as pb
from headstart_server.core.priority import lower_priority

BROWSERS, LIST_SECONDS, SCRAPE_SECONDS = 10, 3.0, 5.0
IDLE, NEVER_READ, HEARTBEAT_SECONDS = 1_000, 50, 15.0
_EVENTS_TOGETHER = 256
"""As Headstart's own client asks for."""
_STREAMS_PER_CONNECTION = 100

Watch = Callable[[str], None]
"""Called with the name of a job that runs now, which is to be watched."""


@contextmanager
def browsers(url: str) -> Iterator[Watch]:
    """Ten that show the running job, one that lists jobs, and Prometheus, over HTTP."""
    with _beside(_browse, url) as watch:
        yield watch


@contextmanager
def idle_and_unread(address: str, idle: str) -> Iterator[Watch]:
    """A thousand gRPC streams of a job in which nothing happens, with heartbeats, and fifty of the running job whose
    callers read nothing."""
    with _beside(_idle_and_unread, address, idle) as watch:
        yield watch


def read(url: str) -> bytes:
    """The body of an answer."""
    with urllib.request.urlopen(url) as answer:
        body: bytes = answer.read()
        return body


@contextmanager
def _beside(target: Callable[..., None], *args: str) -> Iterator[Watch]:
    spawn = multiprocessing.get_context("spawn")
    jobs, started = spawn.SimpleQueue(), spawn.Event()
    process = spawn.Process(target=target, args=(*args, jobs, started), daemon=True)
    process.start()
    started.wait()
    try:
        yield jobs.put
    finally:
        process.kill()
        process.join()


def _browse(url: str, jobs: "SimpleQueue[str]", started: Event) -> None:
    lower_priority(19)
    for path, seconds in (("/api/v1/trainJobs?pageSize=50", LIST_SECONDS), ("/metrics", SCRAPE_SECONDS)):
        threading.Thread(target=_ask, args=(url + path, seconds), daemon=True).start()
    started.set()
    while True:
        job = jobs.get()
        for _ in range(BROWSERS):
            threading.Thread(target=_follow, args=(f"{url}/api/v1/{job}/events",), daemon=True).start()


def _follow(url: str) -> None:
    with urllib.request.urlopen(url) as stream:
        while stream.read1(1 << 16):
            pass


def _ask(url: str, seconds: float) -> None:
    while True:
        read(url)
        time.sleep(seconds)


def _idle_and_unread(address: str, idle: str, jobs: "SimpleQueue[str]", started: Event) -> None:
    lower_priority(19)
    asyncio.run(_hold_streams(address, idle, jobs, started))


async def _hold_streams(address: str, idle: str, jobs: "SimpleQueue[str]", started: Event) -> None:
    channels = [_connection(address) for _ in range(IDLE // _STREAMS_PER_CONNECTION)]
    request = pb.WatchTrainJobRequest(name=idle, heartbeat_seconds=HEARTBEAT_SECONDS, max_events=_EVENTS_TOGETHER)
    calls = [_watch(channel, request) for channel in channels for _ in range(_STREAMS_PER_CONNECTION)]
    for call in calls:
        await call.read()
    readers = [asyncio.ensure_future(_read_all(call)) for call in calls]
    started.set()
    while True:
        job = await asyncio.to_thread(jobs.get)
        # a connection each, whose window for what is not read they do not share
        unread = [_connection(address) for _ in range(NEVER_READ)]
        request = pb.WatchTrainJobRequest(name=job, max_events=_EVENTS_TOGETHER)
        calls += [_watch(channel, request) for channel in unread]
        await asyncio.gather(*(call.initial_metadata() for call in calls[-NEVER_READ:]))
        ended = [reader for reader in readers if reader.done()]
        assert not ended, ended


def _watch(channel: grpc.aio.Channel, request: pb.WatchTrainJobRequest) -> Any:
    return channel.unary_stream(
        "/headstart.v1.TrainingService/WatchTrainJob",
        request_serializer=pb.WatchTrainJobRequest.SerializeToString,
        response_deserializer=pb.WatchTrainJobResponse.FromString,
    )(request)


async def _read_all(call: Any) -> None:
    while await call.read() is not grpc.aio.EOF:
        pass


def _connection(address: str) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
