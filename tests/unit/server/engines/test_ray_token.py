"""A cluster of a job's own needs no home folder: its token is brought along, unless somebody has set one."""

from __future__ import annotations

import os

import pytest

cluster = pytest.importorskip("headstart_server.engines.ray.cluster", reason="needs ray")


@pytest.mark.parametrize("setting", ["", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"])
def test_a_cluster_of_ones_own_gets_a_token_where_none_is_set(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    if setting:
        monkeypatch.setenv(setting, "given")
    seen: dict[str, str] = {}
    monkeypatch.setattr(cluster.ray, "init", lambda **_: seen.update(os.environ))
    monkeypatch.setattr(cluster.ray, "shutdown", lambda: None)
    with cluster.cluster(""):
        pass
    if setting:
        assert seen[setting] == "given" and seen.get("RAY_AUTH_TOKEN", "given") == "given"
    else:
        assert len(seen["RAY_AUTH_TOKEN"]) == 64
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
