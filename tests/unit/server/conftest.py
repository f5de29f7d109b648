"""Tiny models for every test that needs an encoder; no test may reach for the network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from headstart_server.storage.object_store import ObjectStore

from tests.support.object_store import OBJECT_STORES, object_store_of, s3_server
from tests.support.together import Together

os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of tiny random models, by family."""
    from tests.support.tiny_models import save_all

    return save_all(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def tiny_bert(tiny_models: dict[str, Path]) -> Path:
    return tiny_models["bert"]


@pytest.fixture(scope="session")
def pair() -> Iterator[Together]:
    """Two processes; they take longer to start than what they are asked to do."""
    with Together(2) as processes:
        yield processes


@pytest.fixture(scope="session")
def bucket() -> Iterator[str]:
    with s3_server() as url:
        yield url


@pytest.fixture(params=OBJECT_STORES)
def object_store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """Every kind, empty: what is true of one is true of all."""
    return object_store_of(request.param, request, tmp_path)
