"""Encoders of every kind leave in both formats and answer as the live model: masks, positions, decoders, T5."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from headstart_server.core.layout import Layout
from headstart_server.core.names import new_id
from headstart_server.data.tables import Sources, table_of_arrow
from headstart_server.encoders.sources import ModelSources
from headstart_server.engines.local import Assignment, LocalEngine
from headstart_server.engines.workplace import Workplace
from headstart_server.export.artifacts import ArtifactRegistry
from headstart_server.export.exporter import Exporter
from headstart_server.model.registry import ModelRegistry
from headstart_server.serving.pool import ModelPool
from headstart_server.spec.parse import parse_values

from tests.support import reviews, tiny_models
from tests.support.training import Reports

CASES = [("distilbert", "mean"), ("roberta", "max"), ("gpt2", "last"), ("t5", "mean")]


class Listener(Reports):
    """Hears a whole job and keeps nothing."""

    def state(self, state: str) -> None: ...

    def resolved(self, *_: object) -> None: ...

    def encode(self, *_: object) -> None: ...

    def model(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("families")
    tiny_models.save_all(root / "models")
    return root


@pytest.mark.parametrize("file_format", ["onnx", "torchscript"])
@pytest.mark.parametrize(("family", "reduction"), CASES)
def test_artifact_agrees_with_the_live_model(root: Path, family: str, reduction: str, file_format: str) -> None:
    layout = Layout(root / "state")
    workplace = Workplace.at(layout, ModelSources(root / "models"))
    rows = reviews.make_rows(60)
    table = table_of_arrow(pa.table({name: [row[name] for row in rows] for name in rows[0]}), "dataset")
    spec = reviews.spec(epochs=1)
    spec["input_features"][0]["encoder"] |= {
        "type": "auto_transformer",
        "pretrained_model_name_or_path": family,
        "reduce_output": reduction,
    }
    assignment = Assignment(new_id(), family, parse_values(spec), Sources((table,), ("dataset",)))
    identifier = LocalEngine(assignment, workplace, Listener()).run()
    models = ModelRegistry(layout.models)
    pool = ModelPool(models, workplace.vault, workplace.store, workplace.device, 1 << 30)
    exporter = Exporter(ArtifactRegistry(layout.artifacts), workplace.vault)
    artifact = exporter.export(models.get(identifier), pool.get(identifier), file_format, False, lambda *_: None)
    assert artifact.max_difference <= 1e-5
    assert {"README.md", "metadata.json", "parity.json", "tokenizers/0.json"} <= {file.path for file in artifact.files}
