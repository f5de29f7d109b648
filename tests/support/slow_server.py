"""A server each of whose predictions takes two minutes, and says so in the log when it begins."""

from __future__ import annotations

import sys
import time
from typing import Any

import structlog
from headstart_server.app import main
from headstart_server.serving.predictor import Predictor


def _slowly(self: Predictor, *arguments: Any) -> Any:
    structlog.get_logger().info("predicting slowly")
    time.sleep(120)
    raise AssertionError("nobody waits so long")


if __name__ == "__main__":
    predictors: Any = Predictor
    predictors.answer = _slowly
    sys.exit(main())
