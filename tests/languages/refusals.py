"""Requests with more mistakes than an error has room for, in several scripts."""

from __future__ import annotations

import json
from collections.abc import Mapping

from headstart.v1 import table_pb2
from headstart.v1 import training_pb2 as pb

WORDS = {
    "latin": "customer_satisfaction_index",
    "cyrillic": "индекс_удовлетворённости_клиентов",
    "chinese": "客户满意度指数以及去年同期的比较结果",
}
"""What columns and keys are called, by script."""
WRONG_FIELDS, COLUMNS, MISSPELT = 300, 200, 40


def wrong_fields(script: str) -> pb.CreateTrainJobRequest:
    """A spec of which 300 fields are wrong."""
    word = WORDS[script]
    features = [
        {"name": f"{word}_{number}", "type": "number", f"{word}_option_{number}": number}
        for number in range(WRONG_FIELDS)
    ]
    spec = {"input_features": features, "output_features": [{"name": "label", "type": "category"}]}
    return _request(spec, ["label"])


def misspelt_columns(script: str) -> pb.CreateTrainJobRequest:
    """A sound spec of 200 columns, 40 of which the table spells otherwise."""
    word = WORDS[script]
    features = [{"name": f"{word}_{number}", "type": "number"} for number in range(COLUMNS)]
    spec = {"input_features": features, "output_features": [{"name": "label", "type": "category"}]}
    names = [f"{word[1:]}_{number}" if number < MISSPELT else f"{word}_{number}" for number in range(COLUMNS)]
    return _request(spec, [*names, "label"])


def _request(spec: Mapping[str, object], names: list[str]) -> pb.CreateTrainJobRequest:
    columns = [table_pb2.Column(name=name, strings=table_pb2.StringValues(values=["1", "2"] * 5)) for name in names]
    return pb.CreateTrainJobRequest(
        spec_yaml=json.dumps(spec, ensure_ascii=False),
        dataset=pb.DatasetSource(table=table_pb2.Table(columns=columns)),
    )
