"""A real PostgreSQL, and which arithmetic tests take for fast: fp32 on every machine, and bf16 as well where they are
marked so.

What a CPU does fast differs from machine to machine, and with it embedding spaces, precisions and answers. Tests say it
instead of measuring it: torch computes bf16 anywhere, only slower.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from headstart_server.encoders.precision import adopt_precision
from hypothesis import HealthCheck, settings

from tests.support.postgres import PostgresCluster, postgres_binaries

# A busy machine must not fail a test: nothing here is timed. Read before any test is: they keep the profile of then.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
settings.load_profile("untimed")
_VARIABLE = "HEADSTART_FAST_PRECISION"
_ONE, _BOTH = ("fp32",), ("fp32", "bf16")


def pytest_configure(config: pytest.Config) -> None:
    """Names the marker."""
    config.addinivalue_line("markers", "both_arithmetics: runs where fp32 is taken for fast, and where bf16 is")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs marked tests twice; tests that share a server say which one's, so that each is started once."""
    both = metafunc.definition.get_closest_marker("both_arithmetics") is not None
    one_server = "server" in metafunc.fixturenames and "integration" in metafunc.definition.path.parts
    if both or one_server:
        metafunc.parametrize("arithmetic", _BOTH if both else _ONE, indirect=True, scope="session")


@pytest.fixture(scope="session", autouse=True)
def arithmetic(request: pytest.FixtureRequest) -> Iterator[str]:
    """What is taken for fast in this process and in all that it starts."""
    answer = getattr(request, "param", "fp32")
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = answer
    adopt_precision(answer)
    yield answer
    if before is None:
        del os.environ[_VARIABLE]
    else:
        os.environ[_VARIABLE] = before


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresCluster]:
    """PostgreSQL on this machine."""
    binaries = postgres_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    cluster = PostgresCluster(binaries)
    yield cluster
    cluster.remove()


@pytest.fixture
def postgres_url(postgres: PostgresCluster) -> str:
    """Of an empty database."""
    return postgres.database()
