"""Stored embeddings of an image input: the pass that loads and encodes, and what becomes of images found unusable."""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from headstart_server.core.timing import Waited
from headstart_server.data.images.loader import ImageLoader, LoadedImages, workers_for
from headstart_server.data.images.reader import ImageReader
from headstart_server.data.images.scan import ScannedImages
from headstart_server.embedding_store.fill import Encoded
from headstart_server.encoders.image import ImageEncoder
from headstart_server.encoders.image_passes import LOADED_IMAGES, encode_crops
from headstart_server.encoding.encoder_cache import EncoderCache
from headstart_server.encoding.texts import require_finite_embeddings
from headstart_server.planning.image_inputs import ImagePlan


class ImageEncode:
    """The pass of one image encoder, or of one augmented view; rows whose image is unusable are noted, not encoded.

    Other processes load images while this one encodes, at most `most_loaders`; the weights are loaded when the first
    row needs them.
    """

    def __init__(
        self,
        plan: ImagePlan,
        images: ScannedImages,
        device: torch.device,
        encoder_cache: EncoderCache,
        check: Callable[[], None],
        view: int | None = None,
        most_loaders: int | None = None,
    ) -> None:
        self._plan, self._images, self._device = plan, images, device
        self._encoder_cache, self._check = encoder_cache, check
        self._view, self._most_loaders = view, most_loaders
        self._encoder: ImageEncoder | None = None
        self.waited = 0.0
        """Seconds in which the encoder waited for images."""

    def __call__(self, rows: npt.NDArray[np.int64]) -> Iterator[Encoded]:
        """Encodes rows; yields (rows, embeddings) batch by batch."""
        plan = self._plan
        encoder = self.load()
        loaders = workers_for(len(rows))
        if self._most_loaders is not None:
            loaders = min(loaders, self._most_loaders)
        loader = ImageLoader({plan.name: self._reader()}, loaders)
        before = self.waited
        try:
            loaded = Waited(loader.stream(in_batches(rows, LOADED_IMAGES), self._view))
            for found, embeddings in encode_crops(encoder, self._usable(loaded), self._device):
                self.waited = before + loaded.seconds
                require_finite_embeddings(embeddings, plan)
                yield found, embeddings
        finally:
            loader.close()

    def _reader(self) -> ImageReader:
        return self._plan.reader(self._images) if self._view is None else self._plan.view_reader(self._images)

    def load(self) -> ImageEncoder:
        """The encoder, from the cache or loaded: seconds. It stays, whatever others put into the cache meanwhile."""
        if self._encoder is None:
            encoder = self._encoder_cache.get(self._plan.space.identifier, self._loaded)
            assert isinstance(encoder, ImageEncoder)
            self._encoder = encoder
        return self._encoder

    def _loaded(self) -> ImageEncoder:
        return self._plan.load_encoder().fused().at(self._plan.precision, self._device)

    def _usable(self, batches: Waited[LoadedImages]) -> Iterator[tuple[npt.NDArray[np.int64], Tensor]]:
        for batch in batches:
            self._check()
            self._images.bad.update(batch.bad[self._plan.name])
            if batch.rows:
                yield np.array(batch.rows, np.int64), batch.crops[self._plan.name]


def find_undecodable(readers: dict[str, ImageReader], rows: npt.NDArray[np.int64], check: Callable[[], None]) -> None:
    """Decodes every image once and notes those that cannot be: before a training that will read them in every epoch."""
    plain = {name: ImageReader(reader.images, reader.transform) for name, reader in readers.items()}
    loader = ImageLoader(plain, workers_for(len(rows)))
    try:
        for batch in loader.stream(in_batches(rows, LOADED_IMAGES), None):
            check()
            for name, found in batch.bad.items():
                readers[name].images.bad.update(found)
    finally:
        loader.close()


def in_batches(rows: npt.NDArray[np.int64], size: int) -> Iterator[list[int]]:
    """Row numbers in pieces."""
    return (rows[start : start + size].tolist() for start in range(0, len(rows), size))
