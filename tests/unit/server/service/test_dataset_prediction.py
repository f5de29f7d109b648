"""Calls about data sets are counted."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest
from headstart_server.core.errors import OverloadedError
from headstart_server.service.dataset_prediction import DatasetPredictionService

NOBODY: Any = None


def test_a_tenant_has_so_many_calls_and_all_together_some_more() -> None:
    service = DatasetPredictionService(NOBODY, NOBODY, NOBODY, NOBODY, NOBODY, NOBODY, 512)
    with ExitStack() as calls:
        for tenant in "aaaabbbbccccdddd":
            calls.enter_context(service._counted(tenant))
        for tenant in "ae":
            with pytest.raises(OverloadedError, match="at most 4 data sets") as caught, service._counted(tenant):
                pass
            assert caught.value.retry_after == 5.0
    with service._counted("a"):
        pass
