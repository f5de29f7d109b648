"""Inputs of a live model that a pretrained encoder reads: their rows as they are asked for, and embeddings of them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from headstart_server.core.reasons import Reason
from headstart_server.data.features.cells import BadCells, Where, require_text
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.images.column import ImageColumn
from headstart_server.data.images.decode import BadImageError, ImageLimits
from headstart_server.data.images.policy import require_usable_images
from headstart_server.data.images.reader import ImageReader, sized_of
from headstart_server.data.images.scan import scan
from headstart_server.data.images.transform import ImageTransform, Pixels
from headstart_server.data.tables import Table
from headstart_server.data.texts import texts_of
from headstart_server.embedding_store.key import Keys, keys_of_texts
from headstart_server.embedding_store.space_store import SpaceStore
from headstart_server.encoders.batches import by_cost
from headstart_server.encoders.image import ImageEncoder
from headstart_server.encoders.image_passes import LOADED_IMAGES, Crops, encode_crops, encode_few
from headstart_server.encoders.passes import CPU_BATCH_TOKENS, Encoded, encode_batches
from headstart_server.encoders.streams import ahead, cores
from headstart_server.encoders.text import TextEncoder
from headstart_server.encoders.text_preparation import TextPreparation
from headstart_server.encoders.tokens import TokenColumn
from headstart_server.planning.pretrained import SERVED_PRECISION
from headstart_server.serving.bad_rows import refused_rows
from headstart_server.serving.columns import DecodedImages, ImageFiles, InputColumn, TokenisedTexts
from headstart_server.serving.stored_rows import StoredRows

Embeddings = tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]
"""(embeddings [n, d], which of them came from the store)."""


class Reuse(Enum):
    """Which stored embeddings may stand in for the encoder."""

    EXACT = "exact"
    ANY = "any"
    NONE = "none"


class ServedInput(ABC):
    """One input as it is served. `store` is its embedding space; None for fine-tuned encoders.

    `precision` is the arithmetic that its encoder computes in.
    """

    def __init__(
        self, dimension: int, store: SpaceStore | None, device: torch.device, precision: str = SERVED_PRECISION
    ) -> None:
        self._dimension, self.store, self._device, self.precision = dimension, store, device, precision
        self._stored = StoredRows(store) if store is not None else None

    @abstractmethod
    def read(self, table: Table, feature: FittedFeature, where: Where, limits: ImageLimits) -> InputColumn:
        """The rows of a table; raises InvalidInputError naming those that cannot be used."""

    def refused(self, table: Table, feature: FittedFeature, where: Where, limits: ImageLimits) -> BadCells:
        """What is wrong with rows that `read` or `load` would refuse."""
        return {}

    def load(self, column: InputColumn, reuse: Reuse, where: Where) -> InputColumn:
        """The column ready for the encoder; raises InvalidInputError naming rows that cannot be used."""
        return column

    @property
    @abstractmethod
    def reads(self) -> Hashable:
        """What reads the rows: inputs, of any models, that have it in common can have theirs read in one pass."""

    def embed(self, column: InputColumn, reuse: Reuse) -> Embeddings:
        """Embeddings of a column that is ready: stored ones as far as `reuse` allows, else by the encoder."""
        return self.embed_together([(self, column)], reuse)[0]

    @classmethod
    @abstractmethod
    def embed_together(cls, parts: "Sequence[tuple[ServedInput, InputColumn]]", reuse: Reuse) -> list[Embeddings]:
        """As `embed`, for columns of inputs that have what reads them in common."""

    @abstractmethod
    def tensor(self, column: InputColumn, role: str) -> Tensor:
        """What an exported graph takes of a column in this role; images must be of one size."""

    @abstractmethod
    def sizes(self, column: InputColumn) -> list[tuple[int, ...]]:
        """Of each row as a graph takes it: texts in tokens, images as (3, height, width)."""

    @abstractmethod
    def encoded(self, column: InputColumn, where: Where) -> Iterator[Encoded]:
        """Embeddings of many rows, batch by batch in any order, at the rate of an embedding pass.

        Yields (places of the rows in the column, float32 [n, d]). Raises InvalidInputError naming rows that cannot be
        used.
        """

    def refresh(self) -> None:
        """Reads which embeddings the store has by now, where it can be reached."""
        if self._stored is not None:
            self._stored.refresh()

    def stored(self, keys: Keys, reuse: Reuse) -> Embeddings:
        """Room for embeddings [n, d], and which of them the store filled."""
        embeddings = np.empty((len(keys), self._dimension), np.float32)
        stored = self._stored
        if stored is not None and (reuse is Reuse.ANY or (reuse is Reuse.EXACT and stored.precision == self.precision)):
            return embeddings, stored.read(keys, embeddings)
        return embeddings, np.zeros(len(keys), bool)


class ServedTexts(ServedInput):
    """A text input."""

    def __init__(
        self,
        encoder: TextEncoder,
        preparation: TextPreparation,
        store: SpaceStore | None,
        device: torch.device,
        precision: str = SERVED_PRECISION,
    ) -> None:
        super().__init__(encoder.dimension, store, device, precision)
        self._encoder, self._preparation = encoder, preparation
        self._cut = partial(by_cost, budget=CPU_BATCH_TOKENS, streams=cores()) if device.type == "cpu" else None

    def refused(self, table: Table, feature: FittedFeature, where: Where, limits: ImageLimits) -> BadCells:
        """See ServedInput: cells of bytes that are no text."""
        values = table.rows.column(feature.spec.source).combine_chunks()
        return refused_rows(lambda start, end: require_text(values[start:end], where, start), len(values))

    def read(self, table: Table, feature: FittedFeature, where: Where, limits: ImageLimits) -> TokenisedTexts:
        """See ServedInput."""
        values = table.rows.column(feature.spec.source).combine_chunks()
        require_text(values, where)
        texts = feature.texts(values)
        return TokenisedTexts(keys_of_texts(texts), self._preparation.tokenize(texts_of(texts)))

    @property
    def reads(self) -> Hashable:
        """See ServedInput. Limits in tokens may differ: rows come tokenised."""
        return self._encoder, self._preparation.padding, self._device

    @classmethod
    def embed_together(cls, parts: Sequence[tuple[ServedInput, InputColumn]], reuse: Reuse) -> list[Embeddings]:
        """See ServedInput. A text that several columns hold, at one limit, is read once."""
        found, missing, names = list[Embeddings](), list[TokenColumn](), list[tuple[bytes, int]]()
        places: list[tuple[int, npt.NDArray[np.int64]]] = []
        for item, column in parts:
            assert isinstance(item, ServedTexts) and isinstance(column, TokenisedTexts)
            found.append(item.stored(column.keys, reuse))
            rows = np.flatnonzero(~found[-1][1])
            if len(rows):
                places.append((len(found) - 1, rows))
                missing.append(column.tokens if len(rows) == len(column.tokens) else column.tokens.select(rows))
                if len(parts) > 1:
                    names += [(key.tobytes(), item._preparation.max_length) for key in column.keys[rows]]
        if missing:
            first = parts[0][0]
            assert isinstance(first, ServedTexts)
            encoded = first._encoded(TokenColumn.join(missing) if len(missing) > 1 else missing[0], names)
            start = 0
            for place, rows in places:
                found[place][0][rows] = encoded[start : start + len(rows)]
                start += len(rows)
        return found

    def _encoded(self, tokens: TokenColumn, names: Sequence[tuple[bytes, int]]) -> npt.NDArray[np.float32]:
        """Embeddings [n, d] of rows, of which those of one name are the same; without names all may differ."""
        numbers: dict[tuple[bytes, int], int] = {}
        each = np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64)
        if len(numbers) < len(names):
            firsts = np.unique(each, return_index=True)[1]
            return self._encoded(tokens.select(firsts), ())[each]
        embeddings = np.empty((len(tokens), self._dimension), np.float32)
        for rows, encoded in encode_batches(
            self._encoder, tokens, self._preparation.padding, self._device, cut=self._cut
        ):
            embeddings[rows] = encoded
        return embeddings

    def encoded(self, column: InputColumn, where: Where) -> Iterator[Encoded]:
        """See ServedInput."""
        assert isinstance(column, TokenisedTexts)
        return encode_batches(self._encoder, column.tokens, self._preparation.padding, self._device)

    def tensor(self, column: InputColumn, role: str) -> Tensor:
        """See ServedInput: `input_ids` or `attention_mask`, int64 [n, t]."""
        assert isinstance(column, TokenisedTexts)
        ids, mask = column.tokens.padded(np.arange(len(column.tokens)), self._preparation.padding)
        mask = np.ones_like(ids) if mask is None else mask
        return torch.from_numpy({"input_ids": ids, "attention_mask": mask}[role])

    def sizes(self, column: InputColumn) -> list[tuple[int, ...]]:
        """See ServedInput."""
        assert isinstance(column, TokenisedTexts)
        return [(length,) for length in column.tokens.lengths.tolist()]


class ServedImages(ServedInput):
    """An image input."""

    def __init__(
        self,
        encoder: ImageEncoder,
        transform: ImageTransform,
        store: SpaceStore | None,
        device: torch.device,
        precision: str = SERVED_PRECISION,
    ) -> None:
        super().__init__(encoder.dimension, store, device, precision)
        self._encoder, self._transform = encoder, transform

    def read(self, table: Table, feature: FittedFeature, where: Where, limits: ImageLimits) -> ImageFiles:
        """See ServedInput. Headers are looked at; what is damaged behind them is found when the images are loaded."""
        numbers = np.arange(table.row_count)
        found = scan(ImageColumn([table], feature.spec.source, limits), numbers)
        require_usable_images(found.bad, where)
        return ImageFiles(found, numbers)

    def refused(self, table: Table, feature: FittedFeature, where: Where, limits: ImageLimits) -> BadCells:
        """See ServedInput. Every image is decoded: what is damaged behind its header is found in no other way."""
        found = scan(ImageColumn([table], feature.spec.source, limits), np.arange(table.row_count))
        reader, bad = ImageReader(found, self._transform), dict(found.bad)
        for row in range(table.row_count):
            try:
                if row not in bad:
                    reader.crop(row, None)
            except BadImageError as error:
                bad[row] = str(error)
        return {row: where.error(row, why, Reason.BAD_IMAGE) for row, why in sorted(bad.items())}

    def load(self, column: InputColumn, reuse: Reuse, where: Where) -> DecodedImages:
        """See ServedInput: stored embeddings, and the crops of the rows that the store lacks."""
        assert isinstance(column, ImageFiles)
        embeddings, present = self.stored(column.keys, reuse)
        reader = ImageReader(column.files, self._transform)
        crops, bad = [], {}
        for row in column.numbers[~present].tolist():
            try:
                crops.append(reader.crop(row, None))
            except BadImageError as error:
                bad[row] = str(error)
        require_usable_images(bad, where)
        empty = torch.empty((0, 3, *self._transform.crop), dtype=torch.uint8)
        return DecodedImages(embeddings, present, torch.stack(crops) if crops else empty)

    @property
    def reads(self) -> Hashable:
        """See ServedInput. Transforms may differ: images come as crops, which must be of one size."""
        return self._encoder, self._transform.crop, self._device

    @classmethod
    def embed_together(cls, parts: Sequence[tuple[ServedInput, InputColumn]], reuse: Reuse) -> list[Embeddings]:
        """See ServedInput."""
        columns = [column for _, column in parts if isinstance(column, DecodedImages)]
        assert len(columns) == len(parts)
        first = parts[0][0]
        assert isinstance(first, ServedImages)
        if sum(len(column.crops) for column in columns):
            crops = torch.cat([column.crops for column in columns]) if len(columns) > 1 else columns[0].crops
            encoded, start = encode_few(first._encoder, crops, first._device), 0
            for column in columns:
                column.embeddings[~column.present] = encoded[start : start + len(column.crops)]
                start += len(column.crops)
        return [(column.embeddings, column.present) for column in columns]

    def encoded(self, column: InputColumn, where: Where) -> Iterator[Encoded]:
        """See ServedInput. Images are decoded ahead of the encoder, on a thread for each core."""
        assert isinstance(column, ImageFiles)
        places = np.arange(len(column.numbers))
        pieces = [places[start : start + LOADED_IMAGES] for start in range(0, len(places), LOADED_IMAGES)]

        def decode(piece: npt.NDArray[np.int64]) -> Crops:
            return piece, self.load(column.select(piece), Reuse.NONE, where).crops

        with ThreadPoolExecutor(cores(), thread_name_prefix="decode") as threads:
            yield from encode_crops(self._encoder, ahead(threads, decode, pieces, 2 * cores()), self._device)

    def tensor(self, column: InputColumn, role: str) -> Tensor:
        """See ServedInput: `image`, resized but not cropped, uint8 [n, 3, h, w]."""
        assert role == "image"
        return torch.stack([torch.from_numpy(pixels) for pixels in self._pixels(column)])

    def sizes(self, column: InputColumn) -> list[tuple[int, ...]]:
        """See ServedInput."""
        return [pixels.shape for pixels in self._pixels(column)]

    def _pixels(self, column: InputColumn) -> Iterator[Pixels]:
        """The images of a column as a graph is fed, one after the other."""
        assert isinstance(column, ImageFiles)
        files, limits = column.files, column.files.column.limits
        return (sized_of(files.read(row), self._transform, limits) for row in column.numbers.tolist())


SERVED: Mapping[str, Callable[..., ServedInput]] = {"text": ServedTexts, "image": ServedImages}
"""By type of feature: an encoder, its preparation, its embedding space and the device."""
