"""A server that notes how long each step of a prediction takes, and writes that to a file when it ends.

    HEADSTART_STEPS=steps.json python -m benchmarks.support.timed_server --state-dir ...

A step costs a microsecond more than without. Calls must come one after the other: steps go to the call that ends next.
"""

import functools
import inspect
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

STEPS_FILE = "HEADSTART_STEPS"
"""The variable that names the file."""


class Steps:
    """Seconds of each step of each call."""

    def __init__(self) -> None:
        self.calls: list[dict[str, float]] = []
        self._current: dict[str, float] = {}

    def time(self, owner: Any, name: str, step: str) -> None:
        """Has a function of a module or class timed whenever it is called."""
        setattr(owner, name, self.timed(getattr(owner, name), step))

    def timed(self, function: Callable[..., Any], step: str, *, ends: bool = False) -> Callable[..., Any]:
        """The function, timed; `ends` says that a call is over when it returns."""

        def note(start: float) -> None:
            self._current[step] = self._current.get(step, 0.0) + time.perf_counter() - start
            if ends:
                self.calls.append(self._current)
                self._current = {}

        @functools.wraps(function)
        def plain(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                note(start)

        @functools.wraps(function)
        async def waited(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return await function(*args, **kwargs)
            finally:
                note(start)

        return waited if inspect.iscoroutinefunction(function) else plain


def instrument(steps: Steps) -> None:
    """Times what a prediction of texts goes through; see `benchmarks/predict_steps.py` for what each step is."""
    from headstart_server.rpc import interceptor
    from headstart_server.rpc import prediction as transport
    from headstart_server.service import prediction as service
    from headstart_server.serving.batcher import Batcher
    from headstart_server.serving.inputs import ServedTexts
    from headstart_server.serving.predictor import Predictor
    from headstart_server.serving.work import Prediction

    wrapped = interceptor._wrapped

    def timed_wrapped(inner: Callable[..., Any], observed: Callable[[Any], Any], streams: bool) -> Callable[..., Any]:
        handler = wrapped(inner, observed, streams)
        return handler if inspect.isasyncgenfunction(inner) else steps.timed(handler, "call", ends=True)

    interceptor._wrapped = timed_wrapped
    steps.time(transport.PredictionServicer, "Predict", "servicer")
    steps.time(service.PredictionService, "predict", "service")
    steps.time(transport, "arrow_table", "parse")
    steps.time(service, "table_of_arrow", "table")
    steps.time(Predictor, "rows", "rows")
    steps.time(ServedTexts, "read", "tokenize")
    steps.time(Batcher, "predict", "batch")
    steps.time(Prediction, "compute", "model")
    steps.time(ServedTexts, "_encoded", "encoder")
    steps.time(service, "decode", "decode")


def main() -> int:
    """Serves, and returns the exit code."""
    from headstart_server.app import main as serve

    steps = Steps()
    instrument(steps)
    try:
        return serve(sys.argv[1:])
    finally:
        Path(os.environ[STEPS_FILE]).write_text(json.dumps(steps.calls))


if __name__ == "__main__":
    sys.exit(main())
