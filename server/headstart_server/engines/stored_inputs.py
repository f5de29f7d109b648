"""What the store holds of a job's cached inputs: filled where it lacks something, then gathered."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from headstart_server.core.errors import TrainingFailedError
from headstart_server.core.reasons import Notice, Reason
from headstart_server.data.dataset import PreparedData, check_parts, image_where
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.images.policy import settle_bad_images
from headstart_server.data.parts import Part
from headstart_server.data.texts import TextColumn
from headstart_server.embedding_store.fill import WINDOW_ROWS, Encode, Encoded, FillProgress, fill
from headstart_server.embedding_store.key import Keys, keys_of_chunks
from headstart_server.embedding_store.space import Space
from headstart_server.embedding_store.space_store import SpaceStore
from headstart_server.encoding.encode_pool import EncodePool, EncodeTask, PoolEncode
from headstart_server.encoding.encoder_cache import EncoderCache
from headstart_server.encoding.images import ImageEncode, find_undecodable
from headstart_server.encoding.texts import TextEncode, Throttle, embed, new_matrix
from headstart_server.engines.events import EncodeReport
from headstart_server.engines.listener import Listener
from headstart_server.engines.runtime_context import RuntimeContext
from headstart_server.planning.image_inputs import ImagePlan
from headstart_server.planning.passes import keys_of_input, rows_as_served
from headstart_server.planning.pretrained import PretrainedPlan
from headstart_server.planning.text_inputs import TextPlan
from headstart_server.training.reports import APPROXIMATE, JobWarning
from headstart_server.training.served import ServedRows
from headstart_server.training.views import Views


@dataclass(frozen=True)
class StoredInput:
    """A cached input: an embedding of every row [rows, d], and the stored views of its training rows if it has any.

    `served` has embeddings of test rows as Predict computes them, where those of every row are rounded further.
    """

    embeddings: Tensor
    views: Views | None = None
    served: ServedRows | None = None


class StoredInputs:
    """Gets the cached inputs of one job, and settles what to do with images that turn out to be unusable."""

    def __init__(
        self,
        data: PreparedData,
        runtime: RuntimeContext,
        listener: Listener,
        scratch: Path,
        encode_pool: EncodePool | None = None,
    ) -> None:
        self._data, self._runtime, self._listener, self._scratch = data, runtime, listener, scratch
        self._encode_pool, self._encoder_cache = encode_pool, EncoderCache()
        self.dropped = False
        """Whether rows were left out because their image turned out to be unusable."""

    def of(self, feature: FittedFeature, plan: PretrainedPlan) -> StoredInput:
        """The embeddings of one cached input, encoding what the store lacks."""
        if isinstance(plan, ImagePlan):
            return self._of_images(feature, plan)
        assert isinstance(plan, TextPlan)
        column = TextColumn(self._data.texts(feature))
        encode = TextEncode(plan, column.texts, self._runtime.device)
        store = self._runtime.store.space(plan.space)
        embeddings = embed(store, keys_of_chunks(column.chunks), encode, self._report(plan), self._scratch)
        return StoredInput(embeddings, served=self._served(feature, plan))

    def fill(self, feature: FittedFeature, plan: PretrainedPlan) -> None:
        """Has the encode pool encode what the store lacks of one cached input."""
        assert self._encode_pool is not None
        if isinstance(plan, ImagePlan):
            self._fill_all_images(feature, plan)
            self._fill_served(feature, plan)
            return
        rows = np.flatnonzero(self._data.parts != Part.DROPPED)  # of the others the encode pool would read other texts
        keys = keys_of_chunks(TextColumn(self._data.texts(feature)).chunks)[rows]
        encode = PoolEncode(self._encode_pool, EncodeTask(feature), self._listener.check, {})
        store = self._runtime.store.space(plan.space)
        fill(store, keys, _of_rows(encode, rows), Throttle(self._report(plan, encode)), max(1, len(keys)))
        _require_stored(store, keys)
        self._fill_served(feature, plan)

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
        """Fills every space before it gathers from any: what is found unusable on the way concerns them all."""
        done = self._fill_all_images(feature, plan)
        images, encode = self._data.images[feature.name], self._image_encode(plan, None)
        report = _going_on(done, self._report(plan, encode))
        store = self._runtime.store.space(plan.space)
        embeddings = embed(store, images.keys, encode, report, self._scratch)
        views = self._views(feature, plan) if plan.views else None
        return StoredInput(embeddings, views, self._served(feature, plan))

    def _fill_all_images(self, feature: FittedFeature, plan: ImagePlan) -> FillProgress:
        """Fills the space of all rows, then those of the views."""
        done = self._fill_images(feature, plan)
        for view in range(plan.views):
            self._fill_images(feature, plan, view)
        return done

    def _fill_images(self, feature: FittedFeature, plan: ImagePlan, view: int | None = None) -> FillProgress:
        """Encodes what the store lacks of all rows, or of one view of the training rows; settles what is unusable."""
        images = self._data.images[feature.name]
        encode: ImageEncode | PoolEncode = self._image_encode(plan, view)
        if self._encode_pool is not None:
            encode = PoolEncode(
                self._encode_pool, EncodeTask(feature, view, images.keys), self._listener.check, images.bad
            )
        store = self._runtime.store.space(_space(plan, view))
        rows = np.arange(len(images.keys)) if view is None else self._data.rows(Part.TRAIN)
        report = self._report(plan, encode, view)
        window = WINDOW_ROWS if self._encode_pool is None else max(1, len(rows))
        done = fill(store, images.keys[rows], _of_rows(encode, rows), Throttle(report), window)
        if images.bad:
            report(done)
            images.spread_bad()
            self._settle(feature)
        return done

    def _views(self, feature: FittedFeature, plan: ImagePlan) -> Views:
        """The stored views of the training rows, one matrix."""
        rows = self._data.rows(Part.TRAIN)
        stores = [self._runtime.store.space(plan.view_space(view)) for view in range(plan.views)]
        dtype = np.result_type(*(store.dtype for store in stores))
        values = new_matrix(plan.views * len(rows), plan.dimension, dtype, self._scratch)
        for view, store in enumerate(stores):
            encode = self._image_encode(plan, view)
            report = _going_on(None, self._report(plan, encode, view))
            keys = self._data.images[feature.name].keys[rows]
            found = embed(store, keys, _of_rows(encode, rows), report, self._scratch)
            values[view * len(rows) : (view + 1) * len(rows)] = found.numpy()
        positions = torch.full((len(self._data.parts),), -1, dtype=torch.int64)
        positions[torch.from_numpy(rows)] = torch.arange(len(rows))
        return Views(torch.from_numpy(values), positions, plan.seed, plan.views)

    def _served(self, feature: FittedFeature, plan: PretrainedPlan) -> ServedRows | None:
        """The test rows as Predict reads them, where they are stored rounded further."""
        rows, plan = self._rows_as_served(plan), plan.as_served()
        if len(rows) == 0:
            return None
        encode, keys = self._encode_of(feature, plan), keys_of_input(self._data, feature)[rows]
        report = self._report(plan, encode if isinstance(encode, ImageEncode) else None, test=True)
        store = self._runtime.store.space(plan.space)
        found = embed(store, keys, _of_rows(encode, rows), report, self._scratch)
        return ServedRows.of(found.float(), torch.from_numpy(rows), len(self._data.parts))

    def _fill_served(self, feature: FittedFeature, plan: PretrainedPlan) -> None:
        """Has the encode pool encode what `_served` gathers."""
        rows, plan = self._rows_as_served(plan), plan.as_served()
        if len(rows) == 0:
            return
        assert self._encode_pool is not None
        images = self._data.images.get(feature.name)
        task = EncodeTask(feature, keys=None if images is None else images.keys, served=True)
        encode = PoolEncode(self._encode_pool, task, self._listener.check, {} if images is None else images.bad)
        store, keys = self._runtime.store.space(plan.space), keys_of_input(self._data, feature)[rows]
        fill(store, keys, _of_rows(encode, rows), Throttle(self._report(plan, encode, test=True)), len(rows))
        _require_stored(store, keys)

    def _rows_as_served(self, plan: PretrainedPlan) -> npt.NDArray[np.int64]:
        """Which test rows are read again; warns once where these are not all."""
        if not plan.reads_test_rows_again:
            return np.empty(0, np.int64)
        rows, total = rows_as_served(self._data), len(self._data.rows(Part.TEST))
        if len(rows) < total:
            message = (
                f"the model's test metrics take {len(rows):,} of {total:,} test rows of {plan.name!r} in fp32, as "
                f"Predict reads them, and the others as they are stored, in {plan.precision}; set "
                f"{plan.path}.preprocessing.embedding_precision to fp32 to have all of them exact"
            )
            self._listener.report(JobWarning(APPROXIMATE, message))
        return rows

    def _encode_of(self, feature: FittedFeature, plan: PretrainedPlan) -> Encode:
        if isinstance(plan, ImagePlan):
            return self._image_encode(plan, None)
        assert isinstance(plan, TextPlan)
        return TextEncode(plan, TextColumn(self._data.texts(feature)).texts, self._runtime.device)

    def _image_encode(self, plan: ImagePlan, view: int | None) -> ImageEncode:
        images, device = self._data.images[plan.name], self._runtime.device
        return ImageEncode(plan, images, device, self._encoder_cache, self._listener.check, view)

    def _settle(self, feature: FittedFeature) -> None:
        """Applies the policy to images found unusable."""
        images = self._data.images[feature.name]
        index = [item.name for item in self._data.inputs].index(feature.name)
        where = image_where(index, feature.spec, self._data.sources)
        policy = feature.spec.preprocessing.bad_image_policy or "fail"
        note = settle_bad_images(images, policy, self._data.parts, where)
        check_parts(self._data.parts)
        self.dropped |= policy == "drop"
        if note:
            self._listener.report(JobWarning(Notice.BAD_IMAGES, note))

    def _report(
        self,
        plan: PretrainedPlan,
        encode: ImageEncode | PoolEncode | None = None,
        view: int | None = None,
        *,
        test: bool = False,
    ) -> Callable[[FillProgress], None]:
        space = plan.space if not isinstance(plan, ImagePlan) else _space(plan, view)
        name = plan.name if view is None else f"{plan.name} (view {view + 1})"
        name = f"{plan.name} (test, {plan.precision})" if test else name

        def report(progress: FillProgress) -> None:
            self._listener.check()
            waited = encode.waited if encode is not None else 0.0
            workers = encode.workers if isinstance(encode, PoolEncode) else ()
            counted = replace(progress, waited=waited, workers=workers, test=test)
            self._listener.report(EncodeReport.of(counted, name, space.identifier))

        return report


def _require_stored(store: SpaceStore, keys: Keys) -> None:
    """Raises TrainingFailedError where an encode pool has encoded other rows than it was given."""
    store.refresh()
    if not store.contains(keys).all():
        raise TrainingFailedError(
            "the workers have encoded other rows than this server read; check that their machines see the same files "
            "and the same embedding store, and train again",
            reason=Reason.WORKERS_DISAGREE,
            field="backend",
        )


def _space(plan: ImagePlan, view: int | None) -> Space:
    return plan.space if view is None else plan.view_space(view)


def _going_on(done: FillProgress | None, report: Callable[[FillProgress], None]) -> Callable[[FillProgress], None]:
    """Reports a pass that follows on one that is done, where it has anything to encode, as one with that."""

    def report_both(now: FillProgress) -> None:
        if now.encoded and done is not None:
            encoded = done.encoded + now.encoded
            known = done.found + done.shared + encoded
            seconds = done.seconds + now.seconds
            now = replace(done, seen=now.seen, encoded=encoded, repeated=now.seen - known, seconds=seconds)
        if now.encoded:
            report(now)

    return report_both


def _of_rows(encode: Encode, rows: npt.NDArray[np.int64]) -> Encode:
    """Encodes rows of a subset, given and returned by their position in it."""

    def encode_subset(positions: npt.NDArray[np.int64]) -> Iterator[Encoded]:
        for found, embeddings in encode(rows[positions]):
            yield np.searchsorted(rows, found), embeddings

    return encode_subset
