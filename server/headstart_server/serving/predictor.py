"""The live model: raw columns to predictions, encoder restored, embeddings reused from the store."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from headstart_server.core.errors import InvalidInputError
from headstart_server.core.reasons import Reason
from headstart_server.data.features.cells import Where, missing
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.images.column import ImageColumn
from headstart_server.data.images.decode import BadImageError, ImageLimits
from headstart_server.data.images.policy import require_usable_images
from headstart_server.data.images.reader import ImageReader, sized_of
from headstart_server.data.images.scan import ScannedImages, scan
from headstart_server.data.images.transform import ImageTransform, Pixels
from headstart_server.data.tables import Table
from headstart_server.data.texts import texts_of
from headstart_server.embedding_store.key import Keys, keys_of_texts
from headstart_server.embedding_store.space import Space
from headstart_server.embedding_store.space_store import SpaceStore
from headstart_server.embedding_store.store import EmbeddingStore
from headstart_server.encoders.image import ImageEncoder
from headstart_server.encoders.image_passes import encode_few
from headstart_server.encoders.passes import encode_batches
from headstart_server.encoders.text import TextEncoder
from headstart_server.encoders.text_preparation import TextPreparation
from headstart_server.encoders.tokens import TokenColumn
from headstart_server.model.ecd import ECD
from headstart_server.serving.rows import Answer, ReadyImages, Rows

_WASTE = 0.1
_REFRESH_SECONDS = 10.0


class Reuse(Enum):
    """Which stored embeddings may stand in for the encoder."""

    EXACT = "exact"
    ANY = "any"
    NONE = "none"


@dataclass(frozen=True)
class TextInput:
    """A text input as it is served."""

    encoder: TextEncoder
    preparation: TextPreparation
    space: Space | None
    """Its embedding space; None for fine-tuned encoders."""


@dataclass(frozen=True)
class ImageInput:
    """An image input as it is served."""

    encoder: ImageEncoder
    transform: ImageTransform
    space: Space | None
    """Its embedding space; None for fine-tuned encoders."""


class Predictor:
    """One model on one device. `rows` and `loaded` may run on any thread; `predict` on one at a time."""

    def __init__(
        self,
        inputs: Sequence[FittedFeature],
        outputs: Sequence[FittedFeature],
        head: ECD,
        pretrained: Mapping[str, TextInput | ImageInput],
        store: EmbeddingStore,
        device: torch.device,
        image_limits: ImageLimits | None = None,
    ) -> None:
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        self._head, self._device, self._image_limits = head.to(device).eval(), device, image_limits or ImageLimits()
        self._texts = {name: item for name, item in pretrained.items() if isinstance(item, TextInput)}
        self._images = {name: item for name, item in pretrained.items() if isinstance(item, ImageInput)}
        self._stores: dict[str, SpaceStore] = {
            name: store.space(item.space) for name, item in pretrained.items() if item.space is not None
        }
        self._refresh()

    def _refresh(self) -> None:
        """Reads which embeddings the store has by now."""
        self._refreshed = time.monotonic()
        for space in self._stores.values():
            space.refresh()

    def rows(self, table: Table) -> Rows:
        """Cleans and tokenises raw columns, and looks at images; raises InvalidInputError naming column and row."""
        violations = []
        for feature in self.inputs:
            try:
                table.require(feature.spec.source, table.field)
            except InvalidInputError as error:
                violations.extend(error.violations)
        if violations:
            raise InvalidInputError(violations, reason=Reason.MISSING_COLUMN)
        arrays, tokens, keys, files = {}, {}, {}, {}
        warnings: list[str] = []
        for feature in self.inputs:
            if feature.name in self._images:
                column = ImageColumn([table], feature.spec.source, self._image_limits)
                found = files[feature.name] = scan(column, np.arange(table.row_count))
                require_usable_images(found.bad, _where(feature, table.field))
                keys[feature.name] = found.keys
                continue
            values = table.rows.column(feature.spec.source).combine_chunks()
            if feature.name in self._texts:
                texts = feature.texts(values)
                keys[feature.name] = keys_of_texts(texts)
                tokens[feature.name] = self._texts[feature.name].preparation.tokenize(texts_of(texts))
            else:
                arrays[feature.name] = feature.transform(values, _where(feature, table.field))
                if _knows_none(feature, values, arrays[feature.name]):
                    warnings.append(
                        f"column {feature.spec.source!r}: none of its values occurs in the training data; check that "
                        "they are spelled as there"
                    )
        return Rows(table.row_count, arrays, tokens, keys, files, np.arange(table.row_count), {}, tuple(warnings))

    def loaded(self, rows: Rows, reuse: Reuse) -> Rows:
        """The rows with their images decoded, or found in the store; raises InvalidInputError naming column and row."""
        images = {name: self._load(name, found, rows, reuse) for name, found in rows.files.items()}
        return replace(rows, files={}, images=images)

    def predict(self, rows: Rows, reuse: Reuse) -> Answer:
        """Runs the model; rows in the store skip the encoder as far as `reuse` allows."""
        batch: dict[str, Tensor] = {
            name: torch.from_numpy(values).to(self._device) for name, values in rows.arrays.items()
        }
        found = np.ones(rows.count, bool)
        if reuse is not Reuse.NONE and time.monotonic() - self._refreshed > _REFRESH_SECONDS:
            self._refresh()
        for name in (*rows.tokens, *rows.images):
            if name in rows.tokens:
                embeddings, present = self._embed(name, rows.tokens[name], rows.keys[name], reuse)
            else:
                embeddings, present = self._embed_images(name, rows.images[name])
            batch[name] = torch.from_numpy(embeddings).to(self._device)
            found &= present
        with torch.inference_mode():
            probabilities = self._head.probabilities(self._head(batch))
        outputs = {name: values.float().cpu().numpy() for name, values in probabilities.items()}
        return Answer(outputs, found if rows.tokens or rows.images else np.zeros(rows.count, bool))

    def embeddings(self, name: str, rows: Rows) -> npt.NDArray[np.float32]:
        """Embeddings of a text or image input, [n, d], by the encoder."""
        if name in self._images:
            return self._embed_images(name, self._load(name, rows.files[name], rows, Reuse.NONE))[0]
        return self._embed(name, rows.tokens[name], rows.keys[name], Reuse.NONE)[0]

    def pixels(self, name: str, rows: Rows) -> list[Pixels]:
        """The images of an input as an exported graph is fed: resized, not cropped, uint8 [3, h, w] each."""
        transform, limits = self._images[name].transform, self._image_limits
        files = [rows.files[name].read(row) for row in rows.numbers.tolist()]
        return [sized_of(data, transform, limits) for data in files]

    def padding(self, name: str) -> int:
        """The id that pads a text input."""
        return self._texts[name].preparation.padding

    def _embed(
        self, name: str, tokens: TokenColumn, keys: Keys, reuse: Reuse
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """Embeddings [n, d] and which of them came from the store."""
        item = self._texts[name]
        embeddings, present = self._stored(name, keys, item.encoder.dimension, reuse)
        missing = np.flatnonzero(~present)
        if len(missing):
            part = tokens if len(missing) == len(tokens) else tokens.select(missing)
            for positions, encoded in encode_batches(
                item.encoder, part, item.preparation.padding, self._device, waste=_WASTE
            ):
                embeddings[missing[positions]] = encoded
        return embeddings, present

    def _stored(
        self, name: str, keys: Keys, dimension: int, reuse: Reuse
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """Room for embeddings [n, d], and which of them the store filled."""
        embeddings = np.empty((len(keys), dimension), np.float32)
        present = np.zeros(len(keys), bool)
        store = self._stores.get(name)
        usable = store is not None and (
            reuse is Reuse.ANY or (reuse is Reuse.EXACT and store.space.precision == "fp32")
        )
        if store is not None and usable:
            present[:] = True
            present[store.gather(keys, embeddings).unreadable] = False
        return embeddings, present

    def _load(self, name: str, files: ScannedImages, rows: Rows, reuse: Reuse) -> ReadyImages:
        """Stored embeddings of an image input, and the crops of the rows that the store lacks."""
        item = self._images[name]
        embeddings, present = self._stored(name, rows.keys[name], item.encoder.dimension, reuse)
        reader = ImageReader(files, item.transform)
        crops, bad = [], {}
        for row in rows.numbers[~present].tolist():
            try:
                crops.append(reader.crop(row, None))
            except BadImageError as error:
                bad[row] = str(error)
        feature = next(feature for feature in self.inputs if feature.name == name)
        require_usable_images(bad, _where(feature, "table"))
        empty = torch.empty((0, 3, *item.transform.crop), dtype=torch.uint8)
        return ReadyImages(embeddings, present, torch.stack(crops) if crops else empty)

    def _embed_images(self, name: str, images: ReadyImages) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """Embeddings [n, d] and which of them came from the store."""
        if len(images.crops):
            images.embeddings[~images.present] = encode_few(self._images[name].encoder, images.crops, self._device)
        return images.embeddings, images.present


def _where(feature: FittedFeature, field: str) -> Where:
    return Where(field, feature.spec.source, lambda row: f"row {row + 1}")


def _knows_none(feature: FittedFeature, values: pa.Array, array: npt.NDArray[np.generic]) -> bool:
    """Whether a category or set column holds values, of which training saw none."""
    if feature.spec.type not in ("category", "set"):
        return False
    present = ~missing(values)
    return bool(present.any()) and not array[present].any()
