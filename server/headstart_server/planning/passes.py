"""The embedding passes that a job would make, and what the store has of them already."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from headstart_server.data.dataset import PreparedData
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.parts import Part, spread
from headstart_server.data.texts import TextColumn
from headstart_server.embedding_store.fill import FillProgress, survey
from headstart_server.embedding_store.key import Keys, keys_of_chunks
from headstart_server.embedding_store.store import EmbeddingStore
from headstart_server.planning.job_plan import JobPlan
from headstart_server.planning.pretrained import MOST_TEST_ROWS


@dataclass(frozen=True)
class PlannedPass:
    """One embedding pass that a job would make; `encoded` counts the rows that its encoder has yet to read."""

    name: str
    space: str
    progress: FillProgress


def planned_passes(plan: JobPlan, store: EmbeddingStore) -> list[PlannedPass]:
    """For each cached input, and each stored view of its training rows, what the store has."""
    found = []
    for feature in plan.data.inputs:
        item = plan.inputs.get(feature.name)
        if item is not None and item.cached:
            keys = keys_of_input(plan.data, feature)
            for name, space in item.passes.items():
                wanted = keys if name == item.name else keys[plan.data.rows(Part.TRAIN)]
                progress, missing = survey(store.space(space), wanted)
                found.append(PlannedPass(name, space.identifier, replace(progress, encoded=len(missing))))
    return found


def planned_test_passes(plan: JobPlan, store: EmbeddingStore) -> list[PlannedPass]:
    """For each cached input that is stored in less than fp32, what the store has of its test rows in fp32."""
    found, rows = [], rows_as_served(plan.data)
    for feature in plan.data.inputs:
        item = plan.inputs.get(feature.name)
        if item is not None and item.reads_test_rows_again and len(rows):
            space = item.as_served().space
            progress, missing = survey(store.space(space), keys_of_input(plan.data, feature)[rows])
            found.append(PlannedPass(item.name, space.identifier, replace(progress, encoded=len(missing), test=True)))
    return found


def rows_as_served(data: PreparedData) -> npt.NDArray[np.int64]:
    """The test rows that a job reads as Predict does: all of them, or 10,000 at even distances."""
    return spread(data.rows(Part.TEST), MOST_TEST_ROWS)


def keys_of_input(data: PreparedData, feature: FittedFeature) -> Keys:
    """The key of every row of a pretrained input."""
    if feature.name in data.images:
        return data.images[feature.name].keys
    return keys_of_chunks(TextColumn(data.texts(feature)).chunks)
