"""Which part each row is in: split, sampled, dropped for a missing cell, or moved so that training sees every label."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from headstart_server.core.errors import invalid
from headstart_server.core.reasons import Notice, Reason
from headstart_server.data.features.cells import Where
from headstart_server.data.features.fitted import drops_missing, missing_cells
from headstart_server.data.parts import Part, Parts
from headstart_server.data.sampling import groups_of, labels_of, sample
from headstart_server.data.splits import assign, keep_labels_in_training
from headstart_server.data.tables import Sources
from headstart_server.spec.model import FeatureSpec, SplitSpec, TrainSpec


def split_rows(spec: TrainSpec, sources: Sources, seed: int) -> Parts:
    """The part of each row: as the spec splits the first table, and as they were given of the others."""
    split = spec.preprocessing.split
    if split.type is None and sources.tables[0].split_column:
        split = SplitSpec(type="fixed", column=sources.tables[0].split_column)
    given = set(sources.roles)
    probabilities = split.probabilities or [0.7, 0.1, 0.2]
    probabilities = [
        probabilities[0],
        0.0 if "validation_dataset" in given else probabilities[1],
        0.0 if "test_dataset" in given else probabilities[2],
    ]
    if not split.probabilities and "test_dataset" in given:
        probabilities = [0.9, 0.0 if "validation_dataset" in given else 0.1, 0.0]
    scale = sum(probabilities)
    # An absent column is named by `assign`.
    if split.type == "stratify" and split.column in sources.tables[0].columns:
        _require_repeats(
            labels_of(split.column, sources),
            "preprocessing.split.column",
            f"{split.column!r} holds another value in every row: each stratum is one row, which cannot be divided; "
            "choose a column whose values repeat, or a random split",
        )
    parts = assign(sources.tables[0], split, [part / scale for part in probabilities], seed)
    # Before the others are added: validation and test sets that were given are not sampled.
    sample(spec, parts, seed)
    others = {"validation_dataset": Part.VALIDATION, "test_dataset": Part.TEST}
    tail = [
        np.full(table.row_count, others[role], np.int8)
        for table, role in zip(sources.tables[1:], sources.roles[1:], strict=True)
    ]
    return np.concatenate([parts, *tail])


def drop_rows(spec: TrainSpec, sources: Sources, parts: Parts) -> int:
    """Drops rows whose missing cells a feature does not fill, and returns how many; raises InvalidInputError where one
    must not be missing."""
    before = int((parts != Part.DROPPED).sum())
    for path, feature, output in features_by_path(spec):
        strategy = feature.preprocessing.missing_value_strategy
        if not drops_missing(feature, output=output) and strategy != "fail":
            continue
        for start, values in sources.rows.chunks(feature.source):
            gone = missing_cells(feature, values) & (parts[start : start + len(values)] != Part.DROPPED)
            if strategy == "fail" and gone.any():
                where = Where(path, feature.source, sources.locate)
                raise where.error(start + int(np.argmax(gone)), "is missing; fill it in or set missing_value_strategy")
            # The slice is a view: this writes into `parts`.
            parts[start : start + len(values)][gone] = Part.DROPPED
    return before - int((parts != Part.DROPPED).sum())


def keep_labels(spec: TrainSpec, sources: Sources, parts: Parts) -> tuple[tuple[str, str], ...]:
    """Gives training a row of every label, unless the split is the user's; groups of a hash split stay whole.

    Returns what was moved, as (reason, message).
    """
    split, notes = spec.preprocessing.split, []
    groups = groups_of(split.column, sources) if split.type == "hash" and split.column is not None else None
    for index, feature in enumerate(spec.output_features):
        if split.type == "fixed" or feature.type not in ("binary", "category"):
            continue
        labels = labels_of(feature.source, sources)
        if feature.type == "category":
            _require_repeats(
                labels[parts != Part.DROPPED],
                f"output_features[{index}]",
                f"column {feature.source!r} holds another label in every row, and training needs one row of each: "
                "nothing is left to validate; choose a column whose labels repeat, or another type",
            )
        if moved := keep_labels_in_training(parts, labels, groups):
            whole = f", with all rows of the same {split.column!r}" if groups is not None else ""
            notes.append(
                (
                    Notice.LABELS_KEPT_IN_TRAINING,
                    f"{moved} rows were moved to training{whole}: the split left it no row of some labels of "
                    f"{feature.source!r}, which validation or test rows alone would have had",
                )
            )
    return tuple(notes)


def check_parts(parts: Parts) -> None:
    """Raises InvalidInputError where no row is left to train on or to validate on."""
    for part, name in ((Part.TRAIN, "training"), (Part.VALIDATION, "validation")):
        if not (parts == part).any():
            raise invalid(
                "preprocessing.split" if (parts != Part.DROPPED).any() else "output_features",
                f"leaves no {name} row of {len(parts)} rows; give more rows with labels, or other probabilities",
                reason=Reason.NO_ROWS,
            )


def features_by_path(spec: TrainSpec) -> Iterator[tuple[str, FeatureSpec, bool]]:
    """(path in the spec, feature, whether it is an output): inputs, then outputs."""
    for index, feature in enumerate(spec.input_features):
        yield f"input_features[{index}]", feature, False
    for index, feature in enumerate(spec.output_features):
        yield f"output_features[{index}]", feature, True


def _require_repeats(labels: npt.NDArray[np.int64], field: str, message: str) -> None:
    """Refuses labels of which none occurs twice."""
    present = labels[labels >= 0]
    if len(present) > 1 and len(np.unique(present)) == len(present):
        raise invalid(field, message, reason=Reason.NO_REPEATED_LABEL)
