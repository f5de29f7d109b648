"""What the store holds of a job's cached inputs: filled where it lacks something, then gathered."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from headstart_server.data.dataset import PreparedData, check_parts, image_where
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.images.policy import settle_bad_images
from headstart_server.data.splits import Part
from headstart_server.data.texts import TextColumn
from headstart_server.embedding_store.fill import Encode, FillProgress, fill
from headstart_server.embedding_store.key import keys_of_chunks
from headstart_server.engines.embedding import Encoded, Throttle, embed, text_encode
from headstart_server.engines.image_embedding import ImageEncode, find_undecodable
from headstart_server.engines.shelf import EncoderShelf
from headstart_server.engines.workplace import Listener, Workplace
from headstart_server.planning.image_inputs import ImagePlan
from headstart_server.planning.pretrained import PretrainedPlan
from headstart_server.planning.text_inputs import TextPlan
from headstart_server.training.views import Views


@dataclass(frozen=True)
class StoredInput:
    """A cached input: an embedding of every row [rows, d], and the stored views of its training rows if it has any."""

    embeddings: Tensor
    views: Views | None = None


class StoredInputs:
    """Gets the cached inputs of one job, and settles what to do with images that turn out to be unusable."""

    def __init__(self, data: PreparedData, workplace: Workplace, listener: Listener, scratch: Path) -> None:
        self._data, self._workplace, self._listener, self._scratch = data, workplace, listener, scratch
        self._shelf = EncoderShelf()

    def of(self, feature: FittedFeature, plan: PretrainedPlan) -> StoredInput:
        """The embeddings of one cached input, encoding what the store lacks."""
        if isinstance(plan, ImagePlan):
            return self._of_images(feature, plan)
        assert isinstance(plan, TextPlan)
        column = TextColumn(self._data.texts(feature))
        encode = text_encode(plan, column.texts, self._workplace.device)
        store = self._workplace.store.space(plan.space)
        return StoredInput(embed(store, keys_of_chunks(column.chunks), encode, self._report(plan), self._scratch))

    def check_images(self, plans: dict[str, PretrainedPlan]) -> None:
        """Decodes the images of inputs that are not cached, before a training that reads them in every epoch."""
        readers = {
            name: plan.reader(self._data.images[name])
            for name, plan in plans.items()
            if isinstance(plan, ImagePlan) and not plan.cached
        }
        if readers:
            find_undecodable(readers, np.flatnonzero(self._data.parts != Part.DROPPED), self._listener.check)
            for feature in self._data.inputs:
                if feature.name in readers:
                    self._settle(feature)

    def _of_images(self, feature: FittedFeature, plan: ImagePlan) -> StoredInput:
        images = self._data.images[feature.name]
        device, check = self._workplace.device, self._listener.check
        encode = ImageEncode(plan, images, device, self._shelf, check)
        store, report = self._workplace.store.space(plan.space), self._report(plan, encode)
        fill(store, images.keys, encode, Throttle(report))
        self._settle(feature)
        embeddings = embed(store, images.keys, encode, _if_any(report), self._scratch)
        if not plan.views:
            return StoredInput(embeddings)
        rows = self._data.rows(Part.TRAIN)
        parts = []
        for view in range(plan.views):
            encode = ImageEncode(plan, images, device, self._shelf, check, view)
            store = self._workplace.store.space(plan.view_space(view))
            matrix = embed(
                store, images.keys[rows], _of_rows(encode, rows), self._report(plan, encode, view), self._scratch
            )
            parts.append(matrix)
        positions = torch.full((len(self._data.parts),), -1, dtype=torch.int64)
        positions[torch.from_numpy(rows)] = torch.arange(len(rows))
        return StoredInput(embeddings, Views(torch.cat(parts), positions, plan.seed))

    def _settle(self, feature: FittedFeature) -> bool:
        """Applies the policy to images found unusable; returns whether there were any."""
        images = self._data.images[feature.name]
        if not images.bad:
            return False
        index = [item.name for item in self._data.inputs].index(feature.name)
        where = image_where(index, feature.spec, self._data.sources)
        policy = feature.spec.preprocessing.bad_image_policy or "fail"
        note = settle_bad_images(images, policy, self._data.parts, where)
        check_parts(self._data.parts)
        self._listener.warning("BAD_IMAGES", note)
        return True

    def _report(
        self, plan: PretrainedPlan, encode: ImageEncode | None = None, view: int | None = None
    ) -> Callable[[FillProgress], None]:
        space = plan.space if view is None or not isinstance(plan, ImagePlan) else plan.view_space(view)
        name = plan.name if view is None else f"{plan.name} (view {view + 1})"

        def report(progress: FillProgress) -> None:
            self._listener.check()
            waited = encode.waited if encode is not None else 0.0
            self._listener.encode(name, replace(progress, waited=waited), space.identifier)

        return report


def _if_any(report: Callable[[FillProgress], None]) -> Callable[[FillProgress], None]:
    """Reports a second pass only where it had anything to encode."""
    return lambda progress: report(progress) if progress.encoded else None


def _of_rows(encode: ImageEncode, rows: npt.NDArray[np.int64]) -> Encode:
    """Encodes rows of a subset, given and returned by their position in it."""

    def encode_subset(positions: npt.NDArray[np.int64]) -> Iterator[Encoded]:
        for found, embeddings in encode(rows[positions]):
            yield np.searchsorted(rows, found), embeddings

    return encode_subset
