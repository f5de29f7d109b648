"""Fits AutoGluon, in an interpreter that has it: a task as JSON on stdin, the figures on stdout."""

import json
import sys
import time
from importlib.metadata import version

import pandas
from autogluon.tabular import TabularPredictor


def main() -> None:
    """Trains on a table's rows for so many seconds; prints the accuracy on others."""
    task = json.load(sys.stdin)
    train, test = (pandas.read_csv(task[part]) for part in ("train", "test"))
    columns = [*task["inputs"], task["target"]]
    started = time.perf_counter()
    predictor = TabularPredictor(task["target"], path=task["folder"], verbosity=0)
    predictor.fit(train[columns], presets="medium_quality", time_limit=task["seconds"])
    seconds = time.perf_counter() - started
    accuracy = float((predictor.predict(test[columns]) == test[task["target"]]).mean())
    found = {"version": version("autogluon.tabular"), "accuracy": accuracy, "seconds": seconds}
    print(json.dumps(found | {"model": predictor.model_best}))


if __name__ == "__main__":
    main()
