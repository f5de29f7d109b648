"""Which backends a file of predictions may have, and what is said of others."""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace
from typing import Any

import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.data.source import SourceRecord
from headstart_server.engines.envelopes import PredictionsOrder, predictions_order, predictions_text
from headstart_server.export.prediction_backend import check_backend
from headstart_server.spec.parse import parse_backend

FROZEN = SimpleNamespace(folder="", adapter="")


def _order(backend: dict[str, Any], reuse: str = "exact") -> PredictionsOrder:
    parsed = parse_backend(backend, "predictions.backend")
    return PredictionsOrder(SourceRecord("dataset", "", "csv"), reuse=reuse, backend=parsed)


def _checked(backend: dict[str, Any], reuse: str = "exact", encoder: Any = FROZEN) -> None:
    bundle: Any = SimpleNamespace(encoders={"review": encoder})
    check_backend(_order(backend, reuse), bundle)


def _ray(**trainer: Any) -> dict[str, Any]:
    return {"type": "ray", "trainer": trainer}


def test_one_process_and_a_cluster_may_make_a_file() -> None:
    _checked({})
    _checked({"type": "local"})
    _checked(_ray(num_workers=3, min_workers=2, resources_per_worker={"CPU": 0.5}))


@pytest.mark.parametrize(
    ("backend", "options", "field", "why"),
    [
        (_ray(strategy="fsdp"), {}, "predictions.backend.trainer.strategy", "no model is trained"),
        ({"trainer": {"num_workers": 2}}, {}, "predictions.backend.trainer.num_workers", "is of type: ray"),
        (_ray(), {"reuse": "none"}, "predictions.backend.type", "through the store"),
        (_ray(), {"encoder": SimpleNamespace(folder="encoders/0", adapter="")}, "predictions.backend.type", "trained"),
        (_ray(), {"encoder": SimpleNamespace(folder="", adapter="encoders/0")}, "predictions.backend.type", "trained"),
        (
            _ray(use_gpu=False, resources_per_worker={"GPU": 1.0}),
            {},
            "predictions.backend.trainer.resources_per_worker.GPU",
            "use_gpu is false",
        ),
    ],
)
def test_others_are_refused_by_name(backend: dict[str, Any], options: dict[str, Any], field: str, why: str) -> None:
    with pytest.raises(InvalidInputError, match=why) as refused:
        _checked(backend, **options)
    assert [item.field for item in refused.value.violations] == [field]


def test_without_ray_a_cluster_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ray" else find(name))
    with pytest.raises(InvalidInputError, match="pip install") as refused:
        _checked(_ray())
    assert refused.value.reason == "RAY_NOT_INSTALLED"


def test_what_is_no_backend_is_refused_by_its_path() -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse_backend({"type": "slurm"}, "predictions.backend")
    assert [item.field for item in refused.value.violations] == ["predictions.backend.type"]


def test_a_file_is_the_same_wherever_it_is_made_and_an_order_outlives_the_server() -> None:
    here, there = _order({}), _order(_ray(num_workers=2))
    assert here.digest == there.digest
    assert predictions_order(predictions_text(there)) == there
