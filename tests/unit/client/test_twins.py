"""The clients for threads and for asyncio are twins: what one can do the other can, asked for in the same words."""

from __future__ import annotations

import inspect
from typing import Any

import headstart
import pytest
from headstart import async_collection, async_train_run, collection, train_run

TWINS: list[tuple[type[Any], type[Any]]] = [
    (headstart.Client, headstart.AsyncClient),
    (collection.Listing, async_collection.AsyncListing),
    (collection.Collection, async_collection.AsyncCollection),
    (collection.Jobs, async_collection.AsyncJobs),
    (collection.Models, async_collection.AsyncModels),
    (collection.Artifacts, async_collection.AsyncArtifacts),
    (collection.ExportJobs, async_collection.AsyncExportJobs),
    (train_run.TrainRun, async_train_run.AsyncTrainRun),
]


def _methods(kind: type[Any]) -> dict[str, list[tuple[str, Any, Any]]]:
    """Public methods with the names, kinds and defaults of their parameters."""
    return {
        name: [(item.name, item.kind, item.default) for item in inspect.signature(method).parameters.values()]
        for name, method in inspect.getmembers(kind, callable)
        if not name.startswith("_")
    }


@pytest.mark.parametrize(("threads", "asyncio"), TWINS, ids=lambda kind: kind.__name__)
def test_both_have_the_same_methods_with_the_same_parameters(threads: type[Any], asyncio: type[Any]) -> None:
    assert _methods(threads) == _methods(asyncio) != {}


@pytest.mark.parametrize(("threads", "asyncio"), TWINS, ids=lambda kind: kind.__name__)
def test_what_a_method_gives_back_differs_only_in_being_awaited(threads: type[Any], asyncio: type[Any]) -> None:
    for name in _methods(threads):
        one, other = (inspect.signature(getattr(kind, name)).return_annotation for kind in (threads, asyncio))
        assert str(other).replace("Async", "") == str(one), name
