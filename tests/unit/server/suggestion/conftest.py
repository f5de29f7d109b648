"""Tables in memory and encoders on disk, to suggest specs of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from headstart_server.data.tables import Table, table_of_arrow
from headstart_server.encoders.sources import ModelSources
from headstart_server.suggestion.profile import ColumnProfile, profile
from headstart_server.suggestion.suggest import Suggestion, suggest

from tests.support.tiny_models import save_bert

Suggest = Callable[..., Suggestion]


def table_with(columns: Mapping[str, Sequence[Any]]) -> Table:
    """A table as a data set has it."""
    return table_of_arrow(pa.table(dict(columns)), "dataset")


def profiled(cells: Sequence[Any], name: str = "column") -> ColumnProfile:
    """The figures of one column."""
    return profile(name, table_with({name: cells}).rows.column(name))


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> ModelSources:
    """One small text encoder on hand, beside those that are installed."""
    root = tmp_path_factory.mktemp("models")
    save_bert(root / "tiny-bert")
    return ModelSources(Path(root))


@pytest.fixture
def suggested(sources: ModelSources) -> Suggest:
    """Suggests a spec for columns."""

    def call(columns: Mapping[str, Sequence[Any]], *targets: str) -> Suggestion:
        return suggest(table_with(columns), targets, sources, "cpu")

    return call
