"""Rows of image inputs: decoded beside the encoder; what becomes of files found unusable."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Self

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from headstart_server.core.timing import Waited
from headstart_server.data.dataset import PreparedData
from headstart_server.data.features.cells import Where
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.images.column import ImageColumn
from headstart_server.data.images.loader import ImageLoader, LoadedImages, workers_for
from headstart_server.data.images.policy import require_usable_images, settle_bad_images
from headstart_server.data.images.reader import ImageReader
from headstart_server.data.images.scan import ScannedImages, scan
from headstart_server.data.parts import Parts
from headstart_server.data.tables import Sources, Table
from headstart_server.embedding_store.fill import Encoded
from headstart_server.embedding_store.key import Keys
from headstart_server.encoders.image import ImageEncoder
from headstart_server.encoders.image_passes import LOADED_IMAGES, encode_crops, encode_few
from headstart_server.encoding.encode_pool import EncodeTask
from headstart_server.encoding.rows import (
    EncoderPass,
    EpochInputs,
    Found,
    InputRows,
    PassContext,
    require_finite_embeddings,
)
from headstart_server.planning.image_inputs import ImagePlan
from headstart_server.planning.pretrained import PretrainedPlan


class ImagePass(EncoderPass[ImageEncoder]):
    """The pass of one image encoder, or of one augmented view; rows whose image is unusable are noted, not encoded.

    Other processes load images while this one encodes.
    """

    piece_rows = None

    def __init__(self, plan: ImagePlan, images: ScannedImages, context: PassContext, view: int | None = None) -> None:
        super().__init__(plan, context)
        self._plan, self._images, self._view = plan, images, view

    def __call__(self, rows: npt.NDArray[np.int64]) -> Iterator[Encoded]:
        """See EncoderPass."""
        plan = self._plan
        encoder = self.load()
        loaders = workers_for(len(rows))
        if self._context.most_loaders is not None:
            loaders = min(loaders, self._context.most_loaders)
        loader = ImageLoader({plan.name: self._reader()}, loaders)
        before = self.waited
        try:
            loaded = Waited(loader.stream(in_batches(rows, LOADED_IMAGES), self._view))
            for found, embeddings in encode_crops(encoder, self._usable(loaded), self._context.device):
                self.waited = before + loaded.seconds
                require_finite_embeddings(embeddings, plan)
                yield found, embeddings
        finally:
            loader.close()

    def _reader(self) -> ImageReader:
        return self._plan.reader(self._images) if self._view is None else self._plan.view_reader(self._images)

    def _loaded(self) -> ImageEncoder:
        return self._plan.load_encoder().fused().at(self._plan.precision, self._context.device)

    def _usable(self, batches: Waited[LoadedImages]) -> Iterator[tuple[npt.NDArray[np.int64], Tensor]]:
        for batch in batches:
            self._context.check()
            self._images.bad.update(batch.bad[self._plan.name])
            if batch.rows:
                yield np.array(batch.rows, np.int64), batch.crops[self._plan.name]


class ImageRows(InputRows):
    """The rows of one image input."""

    fallible = True

    def __init__(self, images: ScannedImages, context: PassContext) -> None:
        self._images, self._context = images, context

    @classmethod
    def of_data(cls, data: PreparedData, feature: FittedFeature, context: PassContext) -> Self:
        """See InputRows."""
        return cls(data.images[feature.name], context)

    @classmethod
    def of_task(cls, sources: Sources, task: EncodeTask, context: PassContext) -> Self:
        """See InputRows."""
        assert task.keys is not None
        column = ImageColumn(sources.tables, task.feature.spec.source, context.image_limits)
        return cls(ScannedImages(column, task.keys), context)

    @classmethod
    def of_table(cls, table: Table, feature: FittedFeature, where: Where, context: PassContext) -> Self:
        """See InputRows."""
        column = ImageColumn([table], feature.spec.source, context.image_limits)
        found = cls(scan(column, np.arange(table.row_count)), context)
        require_usable_images(found.bad, where)
        return found

    @property
    def keys(self) -> Keys:
        """See InputRows."""
        return self._images.keys

    def keys_of(self, rows: npt.NDArray[np.int64]) -> Keys:
        """See InputRows."""
        return self._images.keys[rows]

    @property
    def file_keys(self) -> Keys | None:
        """See InputRows."""
        return self._images.keys

    def encoder_pass(self, plan: PretrainedPlan, view: int | None = None) -> ImagePass:
        """See InputRows."""
        return ImagePass(_image(plan), self._images, self._context, view)

    def encoded(self, plan: PretrainedPlan, encoder: nn.Module, rows: npt.NDArray[np.int64]) -> Found:
        """See InputRows."""
        assert isinstance(encoder, ImageEncoder)
        reader = replace(_image(plan).reader(self._images), augmentation=None)
        crops = ((np.array([index]), reader.crop(row, None)[None]) for index, row in enumerate(rows.tolist()))
        return encode_crops(encoder, crops, self._context.device)

    def embedding(self, plan: PretrainedPlan, encoder: nn.Module, row: int) -> npt.NDArray[np.float32]:
        """See InputRows."""
        assert isinstance(encoder, ImageEncoder)
        reader = replace(_image(plan).reader(self._images), augmentation=None)
        return encode_few(encoder, reader.crop(row, None)[None], self._context.device)

    def join(self, inputs: EpochInputs, plan: PretrainedPlan) -> None:
        """See InputRows."""
        inputs.readers[plan.name] = _image(plan).reader(self._images)

    def readable(self, parts: Parts) -> npt.NDArray[np.int64]:
        """See InputRows. The default image stands in for rows that are left out."""
        return np.arange(len(parts))

    @property
    def bad(self) -> dict[int, str]:
        """See InputRows."""
        return self._images.bad

    def find_bad(self, plan: PretrainedPlan, rows: npt.NDArray[np.int64]) -> None:
        """See InputRows."""
        reader = ImageReader(self._images, _image(plan).transform)
        self._images.bad.update(undecodable(reader, rows, self._context.check))

    def settle_bad(self, policy: str, parts: Parts, where: Where) -> str:
        """See InputRows."""
        # of rows that hold the same file one was read; the others are as unusable
        self._images.spread_bad()
        return settle_bad_images(self._images, policy, parts, where)

    def require_usable(self, where: Where) -> None:
        """See InputRows."""
        if self._images.bad:
            self._images.spread_bad()
            require_usable_images(self._images.bad, where)


def undecodable(reader: ImageReader, rows: npt.NDArray[np.int64], check: Callable[[], None]) -> dict[int, str]:
    """Decodes every image once; returns those that cannot be, with the reason."""
    loader = ImageLoader({"": reader}, workers_for(len(rows)))
    found: dict[int, str] = {}
    try:
        for batch in loader.stream(in_batches(rows, LOADED_IMAGES), None):
            check()
            found |= batch.bad[""]
    finally:
        loader.close()
    return found


def in_batches(rows: npt.NDArray[np.int64], size: int) -> Iterator[list[int]]:
    """Row numbers in pieces."""
    return (rows[start : start + size].tolist() for start in range(0, len(rows), size))


def _image(plan: PretrainedPlan) -> ImagePlan:
    assert isinstance(plan, ImagePlan)
    return plan
