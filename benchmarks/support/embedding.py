"""Our embedding pass as a job runs it: keys, what the store lacks, the encoder, shards, the gathered matrix."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from headstart_server.data.images.decode import ImageLimits
from headstart_server.data.texts import TextColumn
from headstart_server.embedding_store.fill import FillProgress
from headstart_server.embedding_store.store import EmbeddingStore
from headstart_server.encoders.sources import ModelSources
from headstart_server.encoding.matrix import embed
from headstart_server.encoding.rows import PassContext
from headstart_server.encoding.texts import TextRows
from headstart_server.planning.resolution import Resolution
from headstart_server.planning.text_inputs import TextPlan, plan_text
from headstart_server.spec.model import FeatureSpec, TrainSpec
from torch import Tensor

from benchmarks.support.encoder import source
from benchmarks.support.jobs import text_feature
from benchmarks.support.machine import device


def text_plan(precision: str | None = None) -> TextPlan:
    """The plan of a frozen text input; the precision is measured where none is given."""
    assert source().has_weights
    feature = FeatureSpec.model_validate(text_feature("text", precision=precision))
    spec = TrainSpec(input_features=[feature])
    return plan_text(feature, "input_features[0]", ModelSources(), Resolution.of(spec), device().type)


class EmbeddingPass:
    """Encodes texts into stores. The weights are loaded once, as those of its peers are."""

    def __init__(self, plan: TextPlan, texts: list[str]) -> None:
        self.plan = plan
        column = TextColumn([(0, pa.array(texts, pa.large_string()))])
        self._rows = TextRows(column, PassContext(device(), Path(), ImageLimits()))
        self._encode = self._rows.encoder_pass(plan)
        list(self._encode(np.arange(1)))

    def into(self, store: Path) -> Tensor:
        """The embeddings [rows, d]; whatever `store` lacks is encoded."""
        space = EmbeddingStore(store).space(self.plan.space)
        try:
            return embed(space, self._rows.keys, self._encode, _silent, store / "scratch")
        finally:
            space.close()


def _silent(progress: FillProgress) -> None:
    """Nobody watches."""
