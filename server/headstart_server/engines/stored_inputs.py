"""What the store holds of a job's cached inputs: filled where it lacks something, then gathered."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from headstart_server.core.errors import TrainingFailedError
from headstart_server.core.reasons import Notice, Reason
from headstart_server.data.dataset import PreparedData, image_where
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.partition import check_parts
from headstart_server.data.parts import Part
from headstart_server.embedding_store.fill import WINDOW_ROWS, Encode, Encoded, FillProgress, fill
from headstart_server.embedding_store.key import Keys
from headstart_server.embedding_store.space import Space
from headstart_server.embedding_store.space_store import SpaceStore
from headstart_server.encoding.encode_pool import EncodePool, EncodeTask, PoolEncode
from headstart_server.encoding.matrix import Throttle, embed, new_matrix
from headstart_server.encoding.modalities import MODALITIES
from headstart_server.encoding.rows import EncoderPass, InputRows
from headstart_server.encoding.texts import TextRows
from headstart_server.engines.events import EncodeReport
from headstart_server.engines.listener import Listener
from headstart_server.engines.runtime_context import RuntimeContext, pass_context
from headstart_server.planning.passes import rows_as_served
from headstart_server.planning.pretrained import PretrainedPlan
from headstart_server.planning.text_inputs import TextPlan
from headstart_server.training.reports import APPROXIMATE, JobWarning
from headstart_server.training.served import ServedRows
from headstart_server.training.views import Views


@dataclass(frozen=True)
class StoredInput:
    """A cached input: an embedding of every row [rows, d], and the stored views of its training rows if it has any.

    `served` has embeddings of test rows as Predict computes them, where those of every row are rounded further. Of an
    input whose last layers train, what those below give: a vector of every token [tokens, d].
    """

    embeddings: Tensor
    views: Views | None = None
    served: ServedRows | None = None
    of_tokens: bool = False

    @property
    def size_bytes(self) -> int:
        """Of all that it holds, in memory or in a file of the job's."""
        others = [each.values for each in (self.views, self.served) if each is not None]
        return sum(values.nbytes for values in (self.embeddings, *others))


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
        self._encode_pool, self._context = encode_pool, pass_context(runtime, listener.check)
        self.dropped = False
        """Whether rows were left out because their image turned out to be unusable."""

    def of(self, feature: FittedFeature, plan: PretrainedPlan) -> StoredInput:
        """The embeddings of one cached input, encoding what the store lacks."""
        rows = self._rows(feature)
        # What is found unusable on the way concerns all spaces, so all are filled before any is gathered from.
        done = self._fill_all(feature, plan, rows) if rows.fallible else None
        encode = rows.encoder_pass(plan)
        report = self._report(plan, encode)
        report = report if done is None else _going_on(done, report)
        embeddings = embed(self._store(plan.space), rows.keys, encode, report, self._scratch)
        views = self._views(plan, rows) if plan.view_spaces else None
        return StoredInput(embeddings, views, self._served(plan, rows))

    def states(self, feature: FittedFeature, plan: PretrainedPlan) -> StoredInput:
        """What the layers below give for the tokens of one input, encoding the texts that the store lacks."""
        rows = self._rows(feature)
        assert isinstance(rows, TextRows) and isinstance(plan, TextPlan)
        encode, space = rows.states_pass(plan), plan.states_space
        report = self._told(encode, f"{plan.name} (tokens, {space.pooling})", space)
        return StoredInput(embed(self._store(space), encode.keys, encode, report, self._scratch), of_tokens=True)

    def fill(self, feature: FittedFeature, plan: PretrainedPlan) -> None:
        """Has the encode pool encode what the store lacks of one cached input."""
        assert self._encode_pool is not None
        rows = self._rows(feature)
        self._fill_all(feature, plan, rows)
        self._fill_served(feature, plan, rows)

    def check_rows(self, plans: Mapping[str, PretrainedPlan]) -> None:
        """Reads the rows of inputs that are not cached, before a training that reads them in every epoch."""
        kept = np.flatnonzero(self._data.parts != Part.DROPPED)
        uncached = [item for item in self._data.inputs if item.name in plans and not plans[item.name].cached]
        for feature in uncached:
            rows = self._rows(feature)
            rows.find_bad(plans[feature.name], kept)
            self._settle(feature, rows)

    def _rows(self, feature: FittedFeature) -> InputRows:
        return MODALITIES[feature.spec.type].of_data(self._data, feature, self._context)

    def _store(self, space: Space) -> SpaceStore:
        return self._runtime.store.space(space)

    def _fill_all(self, feature: FittedFeature, plan: PretrainedPlan, rows: InputRows) -> FillProgress:
        """Fills the space of all rows, then those of the views."""
        done = self._fill(feature, plan, rows)
        for view in range(len(plan.view_spaces)):
            self._fill(feature, plan, rows, view)
        return done

    def _fill(
        self, feature: FittedFeature, plan: PretrainedPlan, rows: InputRows, view: int | None = None
    ) -> FillProgress:
        """Encodes what the store lacks of all rows, or of one view of the training rows; settles what is unusable."""
        encode: EncoderPass[Any] | PoolEncode = rows.encoder_pass(plan, view)
        if self._encode_pool is not None:
            encode = self._pooled(EncodeTask(feature, view, rows.file_keys), rows)
        numbers = rows.readable(self._data.parts) if view is None else self._data.rows(Part.TRAIN)
        report, keys = self._report(plan, encode, view), rows.keys[numbers]
        # a pool gets all rows in one call: it starts its processes for each, and cuts rows into pieces by itself
        window = WINDOW_ROWS if self._encode_pool is None else max(1, len(numbers))
        done = fill(self._store(plan.space_of(view)), keys, of_rows(encode, numbers), Throttle(report), window)
        if rows.bad:
            # `Throttle` lets the last progress pass only where all rows are seen, and unusable ones are not
            report(done)
            self._settle(feature, rows)
        elif self._encode_pool is not None:
            require_stored(self._store(plan.space_of(view)), keys)
        return done

    def _pooled(self, task: EncodeTask, rows: InputRows) -> PoolEncode:
        """The pass in the processes of the encode pool."""
        assert self._encode_pool is not None
        return PoolEncode(self._encode_pool, task, self._listener.check, rows.bad)

    def _views(self, plan: PretrainedPlan, rows: InputRows) -> Views:
        """The stored views of the training rows, one matrix."""
        numbers, count = self._data.rows(Part.TRAIN), len(plan.view_spaces)
        stores = list(map(self._store, plan.view_spaces))
        # settled by now, since `_fill_all` has filled all of them: shards that overflow float16 are float32
        dtype = np.result_type(*(store.dtype for store in stores))
        values = new_matrix(count * len(numbers), plan.dimension, dtype, self._scratch)
        for view, store in enumerate(stores):
            encode = rows.encoder_pass(plan, view)
            report = _going_on(None, self._report(plan, encode, view))
            found = embed(store, rows.keys[numbers], of_rows(encode, numbers), report, self._scratch)
            values[view * len(numbers) : (view + 1) * len(numbers)] = found.numpy()
        positions = torch.full((len(self._data.parts),), -1, dtype=torch.int64)
        positions[torch.from_numpy(numbers)] = torch.arange(len(numbers))
        return Views(torch.from_numpy(values), positions, plan.view_seed, count)

    def _served(self, plan: PretrainedPlan, rows: InputRows) -> ServedRows | None:
        """The test rows as Predict reads them, where they are stored rounded further."""
        numbers, plan = self._rows_as_served(plan), plan.as_served()
        if len(numbers) == 0:
            return None
        encode = rows.encoder_pass(plan)
        report, keys = self._report(plan, encode, test=True), rows.keys[numbers]
        found = embed(self._store(plan.space), keys, of_rows(encode, numbers), report, self._scratch)
        return ServedRows.of(found.float(), torch.from_numpy(numbers), len(self._data.parts))

    def _fill_served(self, feature: FittedFeature, plan: PretrainedPlan, rows: InputRows) -> None:
        """Has the encode pool encode what `_served` gathers."""
        numbers, plan = self._rows_as_served(plan), plan.as_served()
        if len(numbers) == 0:
            return
        encode = self._pooled(EncodeTask(feature, keys=rows.file_keys, served=True), rows)
        store, keys = self._store(plan.space), rows.keys[numbers]
        report = Throttle(self._report(plan, encode, test=True))
        fill(store, keys, of_rows(encode, numbers), report, len(numbers))
        require_stored(store, keys)

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

    def _settle(self, feature: FittedFeature, rows: InputRows) -> None:
        """Applies the policy to rows found unusable."""
        if not rows.bad:
            return
        index = [item.name for item in self._data.inputs].index(feature.name)
        where = image_where(index, feature.spec, self._data.sources)
        policy = feature.spec.preprocessing.bad_image_policy or "fail"
        note = rows.settle_bad(policy, self._data.parts, where)
        check_parts(self._data.parts)
        self.dropped |= policy == "drop"
        if note:
            self._listener.report(JobWarning(Notice.BAD_IMAGES, note))

    def _report(
        self,
        plan: PretrainedPlan,
        encode: EncoderPass[Any] | PoolEncode,
        view: int | None = None,
        *,
        test: bool = False,
    ) -> Callable[[FillProgress], None]:
        name = f"{plan.name} (test, {plan.precision})" if test else plan.pass_name(view)
        return self._told(encode, name, plan.space_of(view), test=test)

    def _told(
        self, encode: EncoderPass[Any] | PoolEncode, name: str, space: Space, *, test: bool = False
    ) -> Callable[[FillProgress], None]:

        def report(progress: FillProgress) -> None:
            self._listener.check()
            workers = encode.workers if isinstance(encode, PoolEncode) else ()
            counted = replace(progress, waited=encode.waited, workers=workers, test=test)
            self._listener.report(EncodeReport.of(counted, name, space.identifier))

        return report


def require_stored(store: SpaceStore, keys: Keys) -> None:
    """Raises TrainingFailedError where an encode pool has encoded other rows than it was given."""
    store.refresh()
    if not store.contains(keys).all():
        raise TrainingFailedError(
            "the workers have encoded other rows than this server read; check that their machines see the same files "
            "and the same embedding store, and try again",
            reason=Reason.WORKERS_DISAGREE,
            field="backend",
        )


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


def of_rows(encode: Encode, rows: npt.NDArray[np.int64]) -> Encode:
    """Encodes rows of a subset, given and returned by their position in it."""

    def encode_subset(positions: npt.NDArray[np.int64]) -> Iterator[Encoded]:
        for found, embeddings in encode(rows[positions]):
            # `rows` ascend, so this is where each of `found` stands in them
            yield np.searchsorted(rows, found), embeddings

    return encode_subset
