"""Every use case asks for a scope, and refuses a caller who lacks it before anything else happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from headstart_server.core.errors import PermissionDeniedError
from headstart_server.core.principal import ANONYMOUS, Principal, Scope
from headstart_server.service.admission import UploadedData
from headstart_server.service.dataset_prediction import DatasetOrder, DatasetPredictionService
from headstart_server.service.datasets import DatasetService
from headstart_server.service.embeddings import EmbeddingService
from headstart_server.service.exporting import ExportService, ExportWanted, RowsWanted
from headstart_server.service.models import ModelService
from headstart_server.service.prediction import PredictionService
from headstart_server.service.training import TrainingService
from headstart_server.serving.inputs import Reuse


class Nothing:
    """Stands in for any argument."""

    rows = None


NOTHING: Any = Nothing()
NEEDED: dict[type, dict[str, Scope]] = {
    TrainingService: {
        "create": Scope.TRAIN,
        "plan": Scope.TRAIN,
        "suggest": Scope.TRAIN,
        "cancel": Scope.TRAIN,
        "pause": Scope.TRAIN,
        "resume": Scope.TRAIN,
        "delete": Scope.TRAIN,
        "follow": Scope.READ,
        "queue": Scope.READ,
        "get": Scope.READ,
        "listed": Scope.READ,
        "events": Scope.READ,
        "history": Scope.READ,
        "changes": Scope.READ,
        "update": Scope.TRAIN,
    },
    DatasetService: {
        "upload": Scope.TRAIN,
        "broken_upload": Scope.TRAIN,
        "delete": Scope.TRAIN,
        "get": Scope.READ,
        "find": Scope.READ,
        "all": Scope.READ,
    },
    PredictionService: {"predict": Scope.PREDICT, "predict_many": Scope.PREDICT},
    EmbeddingService: {"embed": Scope.PREDICT, "spaces": Scope.READ, "delete": Scope.ADMIN},
    ExportService: {
        "create": Scope.TRAIN,
        "export": Scope.TRAIN,
        "watch": Scope.READ,
        "job": Scope.READ,
        "jobs": Scope.READ,
        "cancel": Scope.TRAIN,
        "download": Scope.TRAIN,
        "delete": Scope.TRAIN,
        "get": Scope.READ,
        "all": Scope.READ,
    },
    ModelService: {
        "get": Scope.READ,
        "signature": Scope.PREDICT,
        "newest": Scope.READ,
        "listed": Scope.READ,
        "update": Scope.TRAIN,
        "delete": Scope.ADMIN,
        "set_alias": Scope.TRAIN,
        "alias": Scope.READ,
        "aliases": Scope.READ,
        "delete_alias": Scope.TRAIN,
    },
}
CASES = [(service, method, scope) for service, methods in NEEDED.items() for method, scope in methods.items()]


@pytest.mark.parametrize(("service", "method", "scope"), CASES)
async def test_a_caller_without_the_scope_is_refused(service: type, method: str, scope: Scope) -> None:
    useless: Any = object.__new__(service)  # whatever it reaches for, it does not have
    everything_else = Principal("t", frozenset(Scope) - {scope})
    function = getattr(service, method)
    parameters = function.__code__.co_argcount - 2
    call = function(useless, everything_else, *[NOTHING] * parameters)
    with pytest.raises(PermissionDeniedError, match=f"needs the scope '{scope}'"):
        if hasattr(call, "__anext__"):
            await anext(call)
        else:
            await call


@pytest.mark.parametrize("scope", [Scope.TRAIN, Scope.PREDICT])
async def test_predictions_of_data_sets_need_two_scopes(scope: Scope) -> None:
    unscoped = Principal("t", frozenset(Scope) - {scope})
    exports: Any = object.__new__(ExportService)
    datasets: Any = object.__new__(DatasetPredictionService)
    rows = RowsWanted(UploadedData("d1"), (), False, Reuse.EXACT)
    order = DatasetOrder("m1", lambda: UploadedData("d1"))
    calls: tuple[Callable[[], Any], ...] = (
        lambda: exports.create(unscoped, ExportWanted("m1", "predictions", False, rows)),
        lambda: anext(datasets.predict(unscoped, order)),
        lambda: anext(datasets.evaluate(unscoped, order)),
    )
    for call in calls:
        with pytest.raises(PermissionDeniedError, match=f"needs the scope '{scope}'"):
            await call()


def test_every_use_case_is_tried_above() -> None:
    for service, methods in NEEDED.items():
        public = {name for name, value in vars(service).items() if callable(value) and not name.startswith("_")}
        assert public - {"sized"} == set(methods)


def test_a_server_without_credentials_lets_everybody_do_everything() -> None:
    for scope in Scope:
        ANONYMOUS.require(scope)
