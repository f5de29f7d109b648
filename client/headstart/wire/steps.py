"""The steps that a program asks its driver for, so that each operation is written once for threads and asyncio.

A program is a generator: it yields steps (call, open, read, sleep, compute) and gets their results back; a failed call
is raised inside it as a HeadstartError. A flow is a program that also emits values to whoever iterates over it.
Programs touch no channel, clock or event loop, which is what makes the resume logic testable without a network.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from google.protobuf.message import Message

from headstart.wire.methods import A, Method, Q

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Call:
    """Call a method that answers once. `request` is a message, or an iterable of them where the client streams."""

    method: Method[Any, Any]
    request: Any


@dataclass(frozen=True)
class Open:
    """Open a method that streams its answers."""

    method: Method[Any, Any]
    request: Any


@dataclass(frozen=True)
class Read:
    """Read the next answer; None at the end."""

    stream: Any


@dataclass(frozen=True)
class Sleep:
    """Wait."""

    seconds: float


@dataclass(frozen=True)
class Compute:
    """Run a blocking function (disk, hashing) without holding up an event loop."""

    function: Callable[[], Any]


@dataclass(frozen=True)
class Emit(Generic[T]):
    """Hand a value to whoever iterates over the flow."""

    value: T


@dataclass(frozen=True)
class Stream(Generic[A]):
    """An open stream of answers, typed."""

    handle: Any
    response: type[A]


Step: TypeAlias = Call | Open | Read | Sleep | Compute
Program: TypeAlias = Generator[Step, Any, R]
Flow: TypeAlias = Generator[Step | Emit[T], Any, None]


def call(method: Method[Q, A], request: Q | Iterable[Q]) -> Program[A]:
    """Call once and return the answer."""
    answer: A = yield Call(method, request)
    return answer


def open_stream(method: Method[Q, A], request: Q | Any) -> Program[Stream[A]]:
    """Open a stream of answers; `request` is a message or whatever iterable the driver's API sends."""
    handle = yield Open(method, request)
    return Stream(handle, method.response)


def read(stream: Stream[A]) -> Program[A | None]:
    """Return the next answer, None at the end."""
    answer: Message | None = yield Read(stream.handle)
    assert answer is None or isinstance(answer, stream.response)
    return answer


def sleep(seconds: float) -> Program[None]:
    """Wait."""
    yield Sleep(seconds)


def compute(function: Callable[[], R]) -> Program[R]:
    """Run a blocking function and return its result."""
    result: R = yield Compute(function)
    return result
