"""What a server says of itself, and how little it does to say it."""

from __future__ import annotations

import importlib.metadata

import pytest
import torchvision
from headstart.v1 import server_pb2 as pb
from headstart_server.core.executors import Executors
from headstart_server.encoders.sources import ModelSources
from headstart_server.rpc import server_info
from headstart_server.rpc.server_info import ServerServicer


class CountedSources(ModelSources):
    """One model more each time somebody looks."""

    looks = 0

    def on_hand(self) -> list[str]:
        CountedSources.looks += 1
        return [f"model-{number}" for number in range(CountedSources.looks)]


class Clock:
    """Time that passes when told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def described(servicer: ServerServicer) -> pb.ServerInfo:
    return await servicer.GetServerInfo(pb.GetServerInfoRequest(), None)


async def test_models_on_hand_are_looked_for_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CountedSources, "looks", 0)
    clock = Clock()
    servicer = ServerServicer(CountedSources(), pb.ServerLimits(), Executors().files, clock)
    assert list((await described(servicer)).pretrained_models) == ["model-0"]
    clock.now += 1
    assert list((await described(servicer)).pretrained_models) == ["model-0"]
    clock.now += 10
    assert list((await described(servicer)).pretrained_models) == ["model-0", "model-1"]


async def test_what_cannot_change_is_found_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    version = importlib.metadata.version

    def remembered(package: str) -> str:
        asked.append(package)
        return version(package)

    monkeypatch.setattr(importlib.metadata, "version", remembered)
    servicer = ServerServicer(ModelSources(), pb.ServerLimits(), Executors().files)
    before = len(asked)
    first, second = await described(servicer), await described(servicer)
    assert (before > 0, len(asked)) == (True, before)
    assert first.library_versions["torch"] == second.library_versions["torch"] == version("torch")
    assert first.start_time == second.start_time


async def test_free_memory_is_as_it_is_now(monkeypatch: pytest.MonkeyPatch) -> None:
    free = iter([3, 2])
    servicer = ServerServicer(ModelSources(), pb.ServerLimits(max_predict_rows=7), Executors().files)
    monkeypatch.setattr(server_info, "available_bytes", lambda: next(free))
    infos = [await described(servicer) for _ in range(2)]
    assert [info.devices[0].memory_bytes for info in infos] == [3, 2]
    assert (infos[1].limits.max_predict_rows, infos[1].limits.max_spec_bytes > 0) == (7, True)
    assert infos[0].version == importlib.metadata.version("headstart")


async def test_every_family_of_torchvisions_models_is_named_with_its_variants_the_default_first() -> None:
    encoders = (await described(ServerServicer(ModelSources(), pb.ServerLimits(), Executors().files))).encoders
    images = {item.type: list(item.variants) for item in encoders if list(item.feature_types) == ["image"]}
    assert sum(map(len, images.values())) == len(torchvision.models.list_models(module=torchvision.models))
    assert images["resnet"] == ["18", "34", "50", "101", "152"]
    assert images["mobilenetv3"] == ["small", "large"]
    assert {tuple(item.feature_types) for item in encoders if item.type == "auto_transformer"} == {("text", "image")}
