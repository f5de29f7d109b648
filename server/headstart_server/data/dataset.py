"""Prepares the rows of one job: parts, statistics fitted on training rows, and arrays on demand."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headstart_server.core.errors import InvalidInputError, invalid
from headstart_server.core.reasons import Notice, Reason
from headstart_server.data.balance import Oversampling
from headstart_server.data.features.cells import Where
from headstart_server.data.features.fitted import (
    PRETRAINED,
    FittedFeature,
    drops_missing,
    fit_feature,
    masked,
    missing_cells,
)
from headstart_server.data.images.column import ImageColumn
from headstart_server.data.images.decode import ImageLimits
from headstart_server.data.images.policy import settle_bad_images
from headstart_server.data.images.scan import ScannedImages, scan
from headstart_server.data.parts import Part, Parts
from headstart_server.data.sampling import groups_of, labels_of, oversampling_of, sample, undersample
from headstart_server.data.splits import assign, keep_labels_in_training
from headstart_server.data.tables import Sources, Table
from headstart_server.spec.model import FeatureSpec, SplitSpec, TrainSpec


@dataclass(frozen=True)
class PreparedData:
    """Rows with their part, and every feature fitted on the training rows."""

    sources: Sources
    parts: Parts
    inputs: tuple[FittedFeature, ...]
    outputs: tuple[FittedFeature, ...]
    arrays: Mapping[str, npt.NDArray[Any]]
    """Tabular features by name, one value a row; dropped rows hold some other row's."""
    dropped_rows: int
    images: Mapping[str, ScannedImages]
    """Image inputs by name."""
    notes: tuple[tuple[str, str], ...]
    """(reason, what was decided): of unusable images, and of labels that would have been in no training row."""
    oversampling: Oversampling | None = None
    left_out: int = 0
    """Training rows of frequent labels that `undersample_majority` leaves out."""

    @property
    def features(self) -> tuple[FittedFeature, ...]:
        """Inputs, then outputs."""
        return (*self.inputs, *self.outputs)

    def rows(self, part: Part) -> npt.NDArray[np.int64]:
        """Row numbers of one part, ascending."""
        return np.flatnonzero(self.parts == part)

    def epoch_rows(self) -> npt.NDArray[np.int64]:
        """The training rows of one epoch, ascending: those of rare labels several times where that is asked for."""
        rows = self.rows(Part.TRAIN)
        if self.oversampling is None:
            return rows
        return self.oversampling.drawn(rows, self.arrays[self.oversampling.output][rows].astype(np.int64))

    def array(self, feature: FittedFeature) -> npt.NDArray[Any]:
        """A tabular feature of every row."""
        return self.arrays[feature.name]

    def texts(self, feature: FittedFeature) -> Iterator[tuple[int, pa.Array]]:
        """A text feature chunk by chunk, (first row, large_string values). Dropped rows hold some other row's, so that
        no encoder reads them."""
        filler = self.sources.rows.rows.column(feature.spec.source)[int(np.argmax(self.parts != Part.DROPPED))]
        for start, values in self.sources.rows.chunks(feature.spec.source):
            keep = self.parts[start : start + len(values)] != Part.DROPPED
            yield start, feature.texts(values if keep.all() else pc.if_else(pa.array(keep), values, filler))


@dataclass(frozen=True)
class Survey:
    """What one process has found out about the rows, so that others need not read every image to know it."""

    parts: Parts
    """Parts that features were fitted on and settings resolved for."""
    settled: Parts
    """The same, less the rows whose image turned out to be unusable later: what is trained on."""
    keys: Mapping[str, npt.NDArray[np.uint64]]
    """Of image inputs: each file's, or the default image's."""


def prepare(
    spec: TrainSpec, sources: Sources, seed: int, limits: ImageLimits | None = None, survey: Survey | None = None
) -> PreparedData:
    """Splits the rows and fits every feature. Raises InvalidInputError with all violations of all columns.

    With a survey of the same rows, takes the parts and the images' keys from there.
    """
    _require_columns(spec, sources)
    dropped, undrawn, notes = 0, 0, tuple[tuple[str, str], ...]()
    if survey is not None:
        parts = survey.parts.copy()
        columns = {feature.name: feature.source for feature in spec.input_features}
        images = {
            name: ScannedImages(ImageColumn(sources.tables, columns[name], limits or ImageLimits()), keys.copy())
            for name, keys in survey.keys.items()
        }
    else:
        parts = _split(spec, sources, seed)
        # In this order: images of rows that are left out are not looked at, and labels are seen to last, when it is
        # known which training rows are left.
        dropped = _drop_rows(spec, sources, parts)
        undrawn = undersample(spec, sources, parts, seed)
        images, notes = _look_at_images(spec, sources, parts, limits or ImageLimits())
        notes += _keep_labels(spec, sources, parts)
        check_parts(parts)
    fitted, arrays = _fit(spec, sources, parts)
    inputs, outputs = fitted[: len(spec.input_features)], fitted[len(spec.input_features) :]
    return PreparedData(
        sources,
        parts,
        tuple(inputs),
        tuple(outputs),
        arrays,
        dropped,
        images,
        notes,
        oversampling_of(spec, seed),
        undrawn,
    )


def _keep_labels(spec: TrainSpec, sources: Sources, parts: Parts) -> tuple[tuple[str, str], ...]:
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


def image_where(index: int, feature: FeatureSpec, sources: Sources) -> Where:
    """Names the cells of an image input in errors."""
    return Where(f"input_features[{index}]", feature.source, sources.locate)


def _look_at_images(
    spec: TrainSpec, sources: Sources, parts: Parts, limits: ImageLimits
) -> tuple[dict[str, ScannedImages], tuple[tuple[str, str], ...]]:
    """Scans the image inputs of the rows that are in use, and settles which of them cannot be used."""
    images: dict[str, ScannedImages] = {}
    notes = []
    for index, feature in enumerate(spec.input_features):
        if feature.type == "image":
            column = ImageColumn(sources.tables, feature.source, limits)
            found = images[feature.name] = scan(column, np.flatnonzero(parts != Part.DROPPED))
            policy = feature.preprocessing.bad_image_policy or "fail"
            notes.append(settle_bad_images(found, policy, parts, image_where(index, feature, sources)))
    return images, tuple((Notice.BAD_IMAGES, note) for note in notes if note)


def _paths(spec: TrainSpec) -> Iterator[tuple[str, FeatureSpec, bool]]:
    for index, feature in enumerate(spec.input_features):
        yield f"input_features[{index}]", feature, False
    for index, feature in enumerate(spec.output_features):
        yield f"output_features[{index}]", feature, True


def _require_columns(spec: TrainSpec, sources: Sources) -> None:
    errors: list[InvalidInputError] = []
    for path, feature, _ in _paths(spec):
        for table in sources.tables:
            try:
                table.require(feature.source, f"{path}.{'column' if feature.column else 'name'}")
            except InvalidInputError as error:
                errors.append(error)
    if errors:
        raise InvalidInputError.of_all(errors, Reason.MISSING_COLUMN)


def _split(spec: TrainSpec, sources: Sources, seed: int) -> Parts:
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


def _drop_rows(spec: TrainSpec, sources: Sources, parts: Parts) -> int:
    before = int((parts != Part.DROPPED).sum())
    for path, feature, output in _paths(spec):
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


def _require_repeats(labels: npt.NDArray[np.int64], field: str, message: str) -> None:
    """Refuses labels of which none occurs twice."""
    present = labels[labels >= 0]
    if len(present) > 1 and len(np.unique(present)) == len(present):
        raise invalid(field, message, reason=Reason.NO_REPEATED_LABEL)


def check_parts(parts: Parts) -> None:
    """Raises InvalidInputError where no row is left to train on or to validate on."""
    for part, name in ((Part.TRAIN, "training"), (Part.VALIDATION, "validation")):
        if not (parts == part).any():
            raise invalid(
                "preprocessing.split" if (parts != Part.DROPPED).any() else "output_features",
                f"leaves no {name} row of {len(parts)} rows; give more rows with labels, or other probabilities",
                reason=Reason.NO_ROWS,
            )


def _fit(spec: TrainSpec, sources: Sources, parts: Parts) -> tuple[list[FittedFeature], dict[str, npt.NDArray[Any]]]:
    """Fits on training rows, then transforms every row: what is wrong with any cell is said now, not hours later."""
    fitted: list[FittedFeature] = []
    arrays: dict[str, npt.NDArray[Any]] = {}
    errors: list[InvalidInputError] = []
    keep = parts == Part.TRAIN
    for path, feature, output in _paths(spec):
        where = Where(path, feature.source, sources.locate)
        try:
            found = fit_feature(feature, masked(sources.rows.chunks(feature.source), keep), where, output=output)
            fitted.append(found)
            if feature.type not in PRETRAINED:
                arrays[feature.name] = _array(found, sources.rows, parts, where)
        except InvalidInputError as error:
            errors.append(error)
    if errors:
        raise InvalidInputError.of_all(errors, Reason.BAD_DATA)
    return fitted, arrays


def _array(feature: FittedFeature, table: Table, parts: Parts, where: Where) -> npt.NDArray[Any]:
    """Every row of a feature; cells of dropped rows, which may hold anything, are taken for a kept row's."""
    kept = int(np.argmax(parts != Part.DROPPED))
    filler = table.rows.column(feature.spec.source)[kept]
    result: npt.NDArray[Any] | None = None
    for start, values in table.chunks(feature.spec.source):
        keep = parts[start : start + len(values)] != Part.DROPPED
        block = feature.transform(values if keep.all() else pc.if_else(pa.array(keep), values, filler), where, start)
        if result is None:
            result = np.empty((table.row_count, *block.shape[1:]), block.dtype)
        result[start : start + len(block)] = block
    assert result is not None
    return result
