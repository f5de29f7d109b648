"""Which rows of a data set are drawn: how many of all, and of which labels."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headstart_server.data.balance import Oversampling, left_out
from headstart_server.data.canonical import as_strings
from headstart_server.data.features import binary, category
from headstart_server.data.features.cells import Where
from headstart_server.data.parts import Part, Parts
from headstart_server.data.tables import Sources
from headstart_server.spec.model import FeatureSpec, TrainSpec
from headstart_server.spec.sampling_rules import balanced_output


def sample(spec: TrainSpec, parts: Parts, seed: int) -> None:
    """Drops the rows that `sample_ratio` or `sample_size` does not draw."""
    ratio, size = spec.preprocessing.sample_ratio, spec.preprocessing.sample_size
    generator = np.random.Generator(np.random.PCG64([seed, 1]))
    if ratio is not None and ratio < 1.0:
        parts[generator.random(len(parts)) >= ratio] = Part.DROPPED
    if size is not None:
        parts[generator.permutation(len(parts))[size:]] = Part.DROPPED


def undersample(spec: TrainSpec, sources: Sources, parts: Parts, seed: int) -> int:
    """Leaves out training rows of frequent labels where that is asked for; returns how many."""
    ratio, output = spec.preprocessing.undersample_majority, balanced_output(spec)
    if ratio is None or output is None:
        return 0
    rows = np.flatnonzero(parts == Part.TRAIN)
    gone = left_out(rows, _classes_of(spec, output, sources)[rows], ratio, seed)
    parts[gone] = Part.DROPPED
    return len(gone)


def _classes_of(spec: TrainSpec, output: FeatureSpec, sources: Sources) -> npt.NDArray[np.int64]:
    """As `labels_of`, words for the same side of a binary output alike."""
    labels = labels_of(output.source, sources)
    if output.type != "binary":
        return labels
    chunks = list(sources.tables[0].chunks(output.source))
    where = Where(f"output_features[{spec.output_features.index(output)}]", output.source, sources.locate)
    true_values, _ = binary.sides(sorted(category.count(chunks)), output.preprocessing, where)
    texts = pa.concat_arrays([as_strings(values) for _, values in chunks])
    is_true = pc.is_in(texts, value_set=pa.array(true_values, texts.type)).to_numpy(zero_copy_only=False)
    labels[: len(texts)] = np.where(labels[: len(texts)] >= 0, is_true, -1)
    return labels


def oversampling_of(spec: TrainSpec, seed: int) -> Oversampling | None:
    """Which training rows come several times in an epoch; None where each comes once."""
    ratio, output = spec.preprocessing.oversample_minority, balanced_output(spec)
    return Oversampling(output.name, ratio, seed) if ratio is not None and output is not None else None


def labels_of(column: str, sources: Sources) -> npt.NDArray[np.int64]:
    """Any numbering of the labels in the first table's rows (-1: missing); -1 for the rows of other tables."""
    chunks = [as_strings(values) for start, values in sources.tables[0].chunks(column)]
    encoded = pa.concat_arrays(chunks).dictionary_encode().indices
    labels = np.full(sources.rows.row_count, -1, np.int64)
    labels[: len(encoded)] = pc.fill_null(encoded, -1).to_numpy(zero_copy_only=False)
    return labels


def groups_of(column: str, sources: Sources) -> npt.NDArray[np.int64]:
    """As `labels_of`, for the column of a hash split, which takes a missing cell for an empty one."""
    chunks = [pc.fill_null(as_strings(values), "") for _, values in sources.tables[0].chunks(column)]
    groups = np.full(sources.rows.row_count, -1, np.int64)
    groups[: sources.tables[0].row_count] = pa.concat_arrays(chunks).dictionary_encode().indices.to_numpy()
    return groups
