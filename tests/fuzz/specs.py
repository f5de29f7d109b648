"""Specs by a grammar that follows the spec's own model: what fits, what nearly fits, and texts that are broken.

Hypothesis makes them, and makes one that fails as short as it can.
"""

from __future__ import annotations

import json
import types
import typing
from collections import Counter
from collections.abc import Callable
from typing import Annotated, Any, Literal

import grpc
import yaml
from headstart.v1 import training_pb2, training_pb2_grpc
from headstart.values.table import columns_of, table_of
from headstart_server.core.errors import HeadstartError
from headstart_server.spec.ludwig.unsupported_keys import KEYS
from headstart_server.spec.model import TrainSpec
from headstart_server.spec.parse import read_spec
from headstart_server.spec.section import Section
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.statuses import documented
from tests.support import reviews
from tests.support.stubs import stub_of

_COLUMNS = ("review", "price", "category", "label")
_TYPES = ("text", "number", "category", "binary", "set", "vector", "image", "audio", "nmuber")
_WORDS = (
    *_COLUMNS,
    *_TYPES,
    "bert",
    "tiny-bert",
    "auto",
    "auto_transformer",
    "adamw",
    "relu",
    "mean",
    "../x",
    "",
    "é字🦆",
)
_NUMBERS = (0, 1, -1, 2, 3, 0.5, 0.1, 1e-5, 7, 100, 1e300, 2**31, 2**63, -(2**63), 10**30)
_WILD = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(_NUMBERS),
    st.sampled_from((float("inf"), float("-inf"), float("nan"))),
    st.text(max_size=20),
    st.lists(st.sampled_from(_WORDS), max_size=3),
    st.dictionaries(st.sampled_from(_WORDS), st.sampled_from(_NUMBERS), max_size=3),
)
_EVERY_NTH = 10
"""Of the texts goes to a server; all are read here."""


def specs() -> st.SearchStrategy[Any]:
    """Plain values, most of which are nearly a spec."""
    return st.one_of(_section(TrainSpec), _section(TrainSpec).flatmap(_complete), _WILD)


def texts() -> st.SearchStrategy[str]:
    """Specs as YAML and as JSON, and some with characters put in or taken out."""
    written = st.one_of(specs().map(_as_yaml), specs().map(json.dumps))
    broken = st.tuples(written, st.integers(0, 2**20), st.integers(0, 3), st.text(max_size=3)).map(_broken)
    return st.one_of(written, written, broken, st.text(max_size=60))


def fuzz_specs(address: str, count: int, number: int) -> Counter[str]:
    """Reads so many texts, and has a server plan some of them; raises AssertionError for an answer of its own fault."""
    outcomes: Counter[str] = Counter()
    with grpc.insecure_channel(address) as channel:
        plan = stub_of(training_pb2_grpc.TrainingServiceStub, channel).PlanTrainJob
        allowed = documented()["PlanTrainJob"]
        data = table_of(columns_of(reviews.columns(reviews.make_rows(12), *_COLUMNS[:3])))

        @seed(number)
        @settings(
            max_examples=count,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.shrink),
        )
        @given(texts())
        def read_all(text: str) -> None:
            outcomes[_read(text)] += 1
            if (outcomes["OK"] + outcomes["INVALID_INPUT"]) % _EVERY_NTH == 0:
                code, details = _planned(plan, text, data)
                outcomes[f"planned: {code}"] += 1
                assert code in allowed, f"{code}: {details}"

        read_all()
    return outcomes


def _read(text: str) -> str:
    """How a text is read here: only the reader's own errors are."""
    try:
        read_spec(text)
    except HeadstartError as error:
        assert error.reason != "INTERNAL"
        return str(error.reason)
    return "OK"


def _planned(plan: Callable[..., Any], text: str, data: Any) -> tuple[str, str]:
    request = training_pb2.TrainJobRequest(spec_yaml=text.encode("utf-8", "replace").decode())
    request.dataset.table.CopyFrom(data)
    try:
        plan(request, timeout=60)
    except grpc.RpcError as error:
        return str(error.code().name), str(error.details())
    return "OK", ""


def _section(kind: type[Section]) -> st.SearchStrategy[Any]:
    fields = {name: _value(field.annotation, name) for name, field in kind.model_fields.items()}
    ours = st.fixed_dictionaries({}, optional=fields)
    others = st.dictionaries(st.sampled_from(sorted(KEYS)) | st.sampled_from(_WORDS), _WILD, max_size=2)
    # one in eight has keys of another program, or of nobody
    return st.one_of(*[ours] * 7, st.tuples(ours, others).map(lambda both: {**both[0], **both[1]}))


def _value(annotation: Any, name: str) -> st.SearchStrategy[Any]:
    fitting = _fitting(annotation, name)
    return st.one_of(*[fitting] * 9, _WILD)


def _fitting(annotation: Any, name: str) -> st.SearchStrategy[Any]:
    """Values of a field's type, not all within its bounds."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _fitting(arguments[0], name)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (types.UnionType, typing.Union):
        return st.one_of(*(_fitting(each, name) for each in arguments))
    if origin is list:
        return st.lists(_fitting(arguments[0], name), max_size=3)
    if origin is dict:
        return st.dictionaries(st.sampled_from(_WORDS), _fitting(arguments[1], name), max_size=2)
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return st.deferred(lambda: _section(annotation))
    if annotation is str and name in ("name", "type"):
        return st.sampled_from(_COLUMNS if name == "name" else _TYPES)
    plain: dict[Any, st.SearchStrategy[Any]] = {
        bool: st.booleans(),
        str: st.sampled_from(_WORDS),
        type(None): st.just("auto"),
    }
    return plain.get(annotation, st.sampled_from(_NUMBERS))


def _complete(values: Any) -> st.SearchStrategy[Any]:
    """A spec whose inputs and output are those of the data."""
    inputs = [{"name": "review", "type": "category"}, {"name": "price", "type": "number"}]
    outputs = [{"name": "category", "type": "category"}]
    return st.just(
        {**values, "input_features": inputs, "output_features": outputs} if isinstance(values, dict) else values
    )


def _as_yaml(values: Any) -> str:
    text: str = yaml.safe_dump(values, allow_unicode=True)
    return text


def _broken(parts: tuple[str, int, int, str]) -> str:
    text, place, removed, added = parts
    at = place % (len(text) + 1)
    return text[:at] + added + text[at + removed :]
