"""Workers: how many, what they reserve, and what they mean for batch size and learning rate."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.planning.backend import BackendPlan, plan_backend
from headstart_server.planning.resolution import Resolution
from headstart_server.planning.trainer import TrainerPlan, plan_trainer
from headstart_server.spec.model import TrainSpec
from headstart_server.spec.parse import parse_values

from tests.support import reviews


def spec_of(backend: dict[str, Any] | None = None, **trainer: Any) -> TrainSpec:
    return TrainSpec.model_validate({**reviews.spec(**trainer), "backend": backend or {}})


def trainer_of(workers: int, **trainer: Any) -> TrainerPlan:
    spec = spec_of(**trainer)
    return plan_trainer(
        spec, Resolution.of(spec), 5_000, "cpu", encoder_runs=False, encoder_trains=False, workers=workers
    )


def _install(folder: Path, monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """Packages of these names, which are found and hold nothing."""
    for name in packages:
        (folder / f"{name}.py").touch()
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(folder)


def test_without_ray_its_backend_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    spec = spec_of({"type": "ray"})
    with pytest.raises(InvalidInputError, match=r"pip install 'headstart\[ray\]', or use 'local'") as refused:
        plan_backend(spec, Resolution.of(spec), "cpu")
    assert (refused.value.field, refused.value.reason) == ("backend.type", "RAY_NOT_INSTALLED")
    assert plan_backend(spec_of(), Resolution.of(spec_of()), "cpu") == BackendPlan()


def test_what_is_not_given_is_resolved() -> None:
    pytest.importorskip("ray")
    spec = spec_of({"type": "ray", "trainer": {"num_workers": 3, "resources_per_worker": {"CPU": 2}}})
    resolution = Resolution.of(spec)
    plan = plan_backend(spec, resolution, "cuda")
    assert (plan.workers, plan.strategy, dict(plan.resources)) == (3, "ddp", {"CPU": 2.0, "GPU": 1.0})
    assert resolution.spec().backend.trainer.use_gpu is True
    assert dict(plan_backend(spec, resolution, "cpu").resources) == {"CPU": 2.0}


@pytest.mark.parametrize(
    ("workers", "trainer", "field", "fix"),
    [
        ({"use_gpu": False, "resources_per_worker": {"GPU": 1}}, {}, "GPU", "leave one of them out"),
        ({"resources_per_worker": {"TPU": 4}}, {}, "TPU", "use CPU or GPU"),
        (
            {"strategy": "fsdp", "num_workers": 2, "resources_per_worker": {"GPU": 0.5}},
            {},
            "resources_per_worker.GPU",
            "use strategy ddp, or whole GPUs",
        ),
        ({"strategy": "fsdp"}, {"optimizer": {"type": "adafactor"}}, "optimizer.type", "use adamw"),
        ({"strategy": "deepspeed"}, {"optimizer": {"type": "adafactor"}}, "optimizer.type", "use adamw"),
    ],
)
def test_what_no_worker_could_train_with_is_refused(
    workers: dict[str, Any], trainer: dict[str, Any], field: str, fix: str
) -> None:
    pytest.importorskip("ray")
    spec = spec_of({"type": "ray", "trainer": workers}, **trainer)
    with pytest.raises(InvalidInputError, match=fix) as refused:
        plan_backend(spec, Resolution.of(spec), "cpu")
    assert refused.value.field.endswith(field)


def test_without_deepspeed_its_strategy_is_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install(tmp_path, monkeypatch, "ray")
    monkeypatch.setitem(sys.modules, "deepspeed", None)
    spec = spec_of({"type": "ray", "trainer": {"strategy": "deepspeed"}})
    with pytest.raises(InvalidInputError, match=r"pip install 'headstart\[deepspeed\]', or use 'fsdp'") as refused:
        plan_backend(spec, Resolution.of(spec), "cpu")
    assert (refused.value.field, refused.value.reason) == ("backend.trainer.strategy", "DEEPSPEED_NOT_INSTALLED")


def test_deepspeeds_stage_is_taken_in_either_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _install(tmp_path, monkeypatch, "ray", "deepspeed")
    ludwig = {"strategy": {"type": "deepspeed", "zero_optimization": {"stage": 3}}}
    for trainer, stage in (
        ({"strategy": "deepspeed"}, 2),
        ({"strategy": "deepspeed", "zero_stage": 1}, 1),
        (ludwig, 3),
    ):
        spec = parse_values({**reviews.spec(), "backend": {"type": "ray", "trainer": trainer}})
        plan = plan_backend(spec, Resolution.of(spec), "cpu")
        assert (plan.strategy, plan.zero_stage) == ("deepspeed", stage)
    clipped = spec_of({"type": "ray", "trainer": {"strategy": "deepspeed"}}, gradient_clipping={"clipvalue": 1.0})
    with pytest.raises(InvalidInputError, match="use clipglobalnorm"):
        plan_backend(clipped, Resolution.of(clipped), "cpu")


def test_horovod_is_taken_for_what_it_did() -> None:
    pytest.importorskip("ray")
    spec = spec_of({"type": "ray", "trainer": {"strategy": "horovod"}})
    resolution = Resolution.of(spec)
    plan = plan_backend(spec, resolution, "cpu")
    assert plan.strategy == resolution.spec().backend.trainer.strategy == "ddp"
    assert [reason for reason, _ in plan.warnings] == ["HOROVOD"]


@pytest.mark.parametrize(
    ("workers", "resources", "shared"),
    [(2, {"GPU": 0.5}, True), (2, {"GPU": 1}, False), (1, {"GPU": 0.25}, False), (2, {"CPU": 0.5}, False)],
)
def test_workers_with_parts_of_a_gpu_may_share_one(workers: int, resources: dict[str, float], shared: bool) -> None:
    pytest.importorskip("ray")
    spec = spec_of({"type": "ray", "trainer": {"num_workers": workers, "resources_per_worker": resources}})
    assert plan_backend(spec, Resolution.of(spec), "cpu").shares_gpus is shared


@pytest.mark.parametrize(("scaling", "factor"), [("linear", 4.0), ("sqrt", 2.0), ("constant", 1.0)])
def test_a_given_batch_size_is_each_workers_and_scales_the_rate(scaling: str, factor: float) -> None:
    plan = trainer_of(4, batch_size=32, learning_rate=1e-3, learning_rate_scaling=scaling)
    assert plan.batch_size == 32
    assert plan.learning_rate == plan.head_learning_rate == pytest.approx(factor * 1e-3)
    assert [reason for reason, _ in plan.warnings] == (["LEARNING_RATE_SCALED"] if factor > 1 else [])
    assert trainer_of(1, batch_size=32, learning_rate=1e-3).learning_rate == 1e-3


def test_an_automatic_batch_size_is_shared_and_the_rate_stays() -> None:
    alone, shared = trainer_of(1), trainer_of(3)
    assert shared.batch_size == -(-alone.batch_size // 3)
    assert (shared.learning_rate, shared.warnings) == (alone.learning_rate, ())


def test_elastic_workers_are_bounds_and_options_are_taken() -> None:
    pytest.importorskip("ray")
    trainer = {"num_workers": {"min": 2, "max": 8}, "strategy": "fsdp", "activation_checkpointing": True}
    values = {**reviews.spec(), "backend": {"type": "ray", "trainer": {**trainer, "cpu_offload": True}}}
    spec = parse_values(values)
    plan = plan_backend(spec, Resolution.of(spec), "cpu")
    assert (plan.least_workers, plan.workers, plan.recompute, plan.offload) == (2, 8, True, True)
    plain = spec_of({"type": "ray", "trainer": {"num_workers": 3}})
    plan = plan_backend(plain, Resolution.of(plain), "cpu")
    assert (plan.least_workers, plan.workers, plan.recompute, plan.offload) == (3, 3, False, False)


@pytest.mark.parametrize(
    ("trainer", "message"),
    [
        ({"num_workers": 2, "min_workers": 3}, "min_workers: 3 is above num_workers, 2"),
        ({"min_workers": 2}, "min_workers: 2 is above num_workers, 1"),
        ({"num_workers": 2, "cpu_offload": True}, "cpu_offload: is for strategy fsdp"),
        ({"num_workers": {"min": 2}}, "num_workers"),
        ({"image_workers": 4}, "image_workers: load images, and no input is one"),
        ({"image_workers": -1}, "image_workers"),
        ({"zero_stage": 3}, "zero_stage: is for strategy deepspeed"),
        ({"strategy": {"type": "deepspeed", "offload": True}}, "strategy"),
        ({"strategy": {"type": "deepspeed", "zero_optimization": {"stage": 4}}}, "zero_stage"),
        ({"num_workers": {"min": 2, "max": "many"}}, "num_workers"),
    ],
)
def test_bounds_and_options_that_do_not_fit_are_refused(trainer: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        parse_values({**reviews.spec(), "backend": {"type": "ray", "trainer": trainer}})


@pytest.mark.parametrize(
    ("type", "use_gpu", "own", "expected"),
    [("local", False, "cuda", "cuda"), ("ray", False, "cuda", "cpu"), ("ray", True, "cpu", "cuda")],
)
def test_encoders_run_where_the_workers_are(type: str, use_gpu: bool, own: str, expected: str) -> None:
    assert BackendPlan(type, use_gpu=use_gpu).device_type(own) == expected
