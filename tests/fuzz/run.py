"""Sends random and mutated messages of every RPC, and specs of all kinds, to a real server.

It lives, and ends every call with a status that the contract names.

    python -m tests.fuzz.run --count 100000 --seed 7

Each message follows from the seed and its number, so one that fails is sent again by `--only NUMBER`.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import grpc
import headstart

from tests.fuzz.messages import mutated, random_message
from tests.fuzz.seeds import Rpc, every_rpc
from tests.fuzz.specs import fuzz_specs
from tests.fuzz.statuses import documented
from tests.support import reviews
from tests.support.running_server import RunningServer
from tests.support.tiny_models import save_bert

_SECONDS = 60.0
_AT_ONCE = 8
_ENDLESS = {"WatchTrainJobs": 2.0}
"""Calls that go on until their caller goes, and for how many seconds they are followed."""
_ANSWERS = 3
"""Of a stream that are read; some go on until a job ends."""
_FAULTS = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE)
_TRACES = ("Traceback", "rpc failed unexpectedly", "raised by servicer")


@dataclass
class Outcome:
    """What became of the messages."""

    codes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How many, by method and status."""
    faults: list[str] = field(default_factory=list)

    def table(self) -> str:
        """A line per method: how many messages, and how they were answered."""
        lines = []
        for method in sorted({method for method, _ in self.codes}):
            found = {code: count for (name, code), count in sorted(self.codes.items()) if name == method}
            told = ", ".join(f"{code} {count}" for code, count in found.items())
            lines.append(f"{method:24}{sum(found.values()):8}  {told}")
        return "\n".join(lines)


@contextmanager
def fuzzed_server(folder: Path) -> Iterator[tuple[RunningServer, str]]:
    """A server with one trained model, and the model's name."""
    save_bert(folder / "models" / "tiny-bert")
    (folder / "data").mkdir()
    reviews.write_csv(folder / "data" / "reviews.csv", reviews.make_rows(60))
    flags = ["--model-root", str(folder / "models"), "--data-root", str(folder / "data"), "--max-queued-jobs", "2"]
    with RunningServer(folder / "state", *flags) as server:
        with server.client() as client:
            model = client.train(reviews.spec(epochs=1), headstart.ServerPath("reviews.csv")).result().model
        yield server, model


def fuzz(server: RunningServer, model: str, numbers: range, seed: int, *, arrow: bool) -> Outcome:
    """Sends the messages with these numbers."""
    outcome = Outcome()
    asyncio.run(_send_all(server, every_rpc(model, arrow=arrow), numbers, seed, outcome))
    assert server.process is not None
    code = server.process.poll()
    if code is not None:
        outcome.faults.append(f"the server ended with {code}")
    log = server.log
    for trace in _TRACES:
        if (place := log.find(trace)) >= 0:
            outcome.faults.append(f"the log holds {trace!r}: {log[max(0, place - 500) : place + 4_000]}")
    return outcome


def bodies_of(rpcs: list[Rpc], number: int, seed: int) -> tuple[Rpc, list[bytes]]:
    """One call: a third of the messages is random, the others are mutations; a stream may begin with valid ones."""
    generator = random.Random(f"{seed} {number}")
    rpc = rpcs[number % len(rpcs)]
    before = [message.SerializeToString() for message in rpc.valid] if rpc.streams and generator.random() < 0.5 else []
    if generator.random() < 1 / 3:
        return rpc, [*before, random_message(rpc.request, generator).SerializeToString()]
    return rpc, [*before, mutated(generator.choice(rpc.valid).SerializeToString(), generator)]


async def _send_all(server: RunningServer, rpcs: list[Rpc], numbers: range, seed: int, outcome: Outcome) -> None:
    waiting = iter(numbers)

    async def send(channel: grpc.Channel) -> None:
        for number in waiting:
            rpc, bodies = bodies_of(rpcs, number, seed)
            method = rpc.path.rsplit("/", 1)[-1]
            code, details = await asyncio.to_thread(_answer, channel, rpc, bodies)
            outcome.codes[method, code.name] += 1
            if code.name not in documented()[method] or code in _FAULTS:
                outcome.faults.append(f"message {number} of seed {seed}: {method}: {code.name} {details[:200]}")
            if code is grpc.StatusCode.UNAVAILABLE and server.process is not None and server.process.poll() is not None:
                return

    with grpc.insecure_channel(server.address) as channel:
        await asyncio.gather(*(send(channel) for _ in range(_AT_ONCE)))


def _answer(channel: grpc.Channel, rpc: Rpc, bodies: list[bytes]) -> tuple[grpc.StatusCode, str]:
    """By the blocking API: grpc.aio says INTERNAL where an answer overtakes a request that it still writes."""
    followed = _ENDLESS.get(rpc.path.rsplit("/", 1)[-1])
    call = channel.stream_stream(rpc.path)(iter(bodies), timeout=followed or _SECONDS)
    try:
        for _ in islice(call, _ANSWERS):
            pass
        call.cancel()
    except grpc.RpcError as error:
        if not (followed and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED):
            return error.code(), error.details() or ""
    return grpc.StatusCode.OK, ""


def main(argv: list[str]) -> int:
    """Prints what became of the messages; returns 1 where one of them was answered by a failure."""
    parser = argparse.ArgumentParser(prog="tests.fuzz.run", description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="send one message")
    parser.add_argument("--no-arrow", action="store_true", help="send no mutated Arrow tables")
    arguments = parser.parse_args(argv)
    numbers = range(arguments.count) if arguments.only is None else range(arguments.only, arguments.only + 1)
    with tempfile.TemporaryDirectory() as folder, fuzzed_server(Path(folder)) as (server, model):
        outcome = fuzz(server, model, numbers, arguments.seed, arrow=not arguments.no_arrow)
        print(outcome.table())
        if arguments.only is None:
            try:
                print(dict(fuzz_specs(server.address, arguments.count, arguments.seed)))
            except Exception:  # whatever it is goes on, with what the server said of it
                print(server.log[-20_000:], file=sys.stderr)
                raise
        if outcome.faults:
            print(server.log[-20_000:], file=sys.stderr)
    print("\n".join(outcome.faults) or f"{len(numbers)} messages, no failure")
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
