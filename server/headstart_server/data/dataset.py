"""Prepares the rows of one job: parts, statistics fitted on training rows, and arrays on demand."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headstart_server.core.errors import MAX_VIOLATIONS, InvalidInputError
from headstart_server.core.reasons import Notice, Reason
from headstart_server.data.balance import Oversampling
from headstart_server.data.features.adopted import adopt_feature
from headstart_server.data.features.cells import Where, require_text
from headstart_server.data.features.fitted import (
    PRETRAINED,
    FittedFeature,
    fit_feature,
    masked,
)
from headstart_server.data.images.column import ImageColumn
from headstart_server.data.images.decode import ImageLimits
from headstart_server.data.images.policy import settle_bad_images
from headstart_server.data.images.scan import ScannedImages, scan
from headstart_server.data.partition import check_parts, drop_rows, features_by_path, keep_labels, split_rows
from headstart_server.data.parts import Part, Parts
from headstart_server.data.sampling import oversampling_of, undersample
from headstart_server.data.tables import Sources, Table
from headstart_server.spec.model import FeatureSpec, TrainSpec


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


@dataclass(frozen=True)
class KnownFeatures:
    """Features with their statistics of a model that was trained before."""

    model: str
    """Names it in errors."""
    features: Mapping[str, FittedFeature]
    """By name."""


def prepare(
    spec: TrainSpec,
    sources: Sources,
    seed: int,
    limits: ImageLimits | None = None,
    survey: Survey | None = None,
    known: KnownFeatures | None = None,
) -> PreparedData:
    """Splits the rows and fits every feature. Raises InvalidInputError with all violations of all columns.

    With a survey of the same rows, takes the parts and the images' keys from there; statistics of features that are
    `known` from the model that a job begins from.
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
        parts = split_rows(spec, sources, seed)
        # In this order: images of rows that are left out are not looked at, and labels are seen to last, when it is
        # known which training rows are left.
        dropped = drop_rows(spec, sources, parts)
        undrawn = undersample(spec, sources, parts, seed)
        images, notes = _look_at_images(spec, sources, parts, limits or ImageLimits())
        notes += keep_labels(spec, sources, parts)
        check_parts(parts)
    fitted, arrays = _fit(spec, sources, parts, known)
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


def _require_columns(spec: TrainSpec, sources: Sources) -> None:
    errors: list[InvalidInputError] = []
    for path, feature, _ in features_by_path(spec):
        for table in sources.tables:
            try:
                field = f"{path}.{'column' if feature.column else 'name'}"
                # of hundreds that are missing, those that an error shows are told with a suggestion
                table.require(feature.source, field, suggest=len(errors) < MAX_VIOLATIONS)
            except InvalidInputError as error:
                errors.append(error)
    if errors:
        raise InvalidInputError.of_all(errors, Reason.MISSING_COLUMN)


def _fit(
    spec: TrainSpec, sources: Sources, parts: Parts, known: KnownFeatures | None
) -> tuple[list[FittedFeature], dict[str, npt.NDArray[Any]]]:
    """Fits on training rows, then transforms every row: what is wrong with any cell is said now, not hours later."""
    fitted: list[FittedFeature] = []
    arrays: dict[str, npt.NDArray[Any]] = {}
    errors: list[InvalidInputError] = []
    keep = parts == Part.TRAIN if known is None else parts != Part.DROPPED
    for path, feature, output in features_by_path(spec):
        where = Where(path, feature.source, sources.locate)
        try:
            chunks = masked(sources.rows.chunks(feature.source), keep)
            if known is None:
                found = fit_feature(feature, chunks, where, output=output)
            else:
                found = adopt_feature(feature, known.features[feature.name], chunks, where, known.model)
            if feature.type == "text":
                for start, values in masked(sources.rows.chunks(feature.source), parts != Part.DROPPED):
                    require_text(values, where, start)
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
