"""A real server in a process of its own, for as long as a benchmark needs it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

_START_SECONDS = 120.0
_STOP_SECONDS = 30.0


@contextmanager
def running_server(
    state_dir: Path,
    data_root: Path,
    model_root: Path | None = None,
    http_port: int | None = None,
    flags: Sequence[str] = (),
    module: str = "headstart_server.app",
) -> Iterator[str]:
    """The address of a server over fresh state; raises RuntimeError with its log's end if it does not start."""
    state_dir.mkdir(parents=True, exist_ok=True)
    data_root.mkdir(parents=True, exist_ok=True)
    address = f"127.0.0.1:{free_port()}"
    log = state_dir / "server.log"
    command = [sys.executable, "-m", module, "--state-dir", str(state_dir)]
    command += ["--data-root", str(data_root), "--port", address.rsplit(":", 1)[1], "--log-level", "warning"]
    command += ["--model-root", str(model_root)] if model_root is not None else []
    command += ["--http-port", str(http_port)] if http_port is not None else ["--no-http"]
    command += flags
    with log.open("w") as sink:
        process = subprocess.Popen(
            command, stdout=sink, stderr=subprocess.STDOUT, env={**os.environ, "HF_HUB_OFFLINE": "1"}
        )
    try:
        _await_health(process, address, log)
        yield address
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def health_check(address: str) -> Iterator[Callable[[], bool]]:
    """A call that asks the server whether it serves: the least that any call costs."""
    with grpc.insecure_channel(address) as channel:
        health = health_pb2_grpc.HealthStub(channel)

        def check() -> bool:
            answer = health.Check(health_pb2.HealthCheckRequest(), timeout=2, wait_for_ready=True)
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

        yield check


def _await_health(process: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    with health_check(address) as check:
        while time.monotonic() < deadline and process.poll() is None:
            with suppress(grpc.RpcError):
                if check():
                    return
    raise RuntimeError(f"the server did not start; its log ends with:\n{log.read_text()[-2000:]}")


def free_port() -> int:
    """A port that nobody listened on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
