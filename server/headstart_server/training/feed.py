"""Feeds the loop: columns that stay resident where they fit, batches by row number, no per-row Python."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import tee

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from headstart_server.core.errors import TrainingFailedError
from headstart_server.core.reasons import Reason
from headstart_server.data.images.loader import LoadedImages, Loader
from headstart_server.data.parts import Part
from headstart_server.encoders.tokens import TokenColumn
from headstart_server.model.ecd import ECD, Batch, Embedded, LayerInputs, PretrainedInput, Tokens, Value
from headstart_server.training.served import ServedRows
from headstart_server.training.views import Views

Targets = dict[str, Tensor]
_BUCKET_BATCHES = 32
_BLOCK_ROWS = 4_096


@dataclass(frozen=True)
class TokenFeed:
    """A token column and the id that pads it; with `states` [tokens, d], what the layers below the last ones give."""

    column: TokenColumn
    padding: int
    states: Tensor | None = None

    def states_of(self, rows: npt.NDArray[np.int64], width: int) -> Tensor | None:
        """Those of some rows [n, width, d]; in the place of padding, which is masked, those of other tokens."""
        if self.states is None:
            return None
        numbers = self.column.offsets[rows][:, None] + np.arange(width)
        index = torch.from_numpy(np.minimum(numbers, len(self.states) - 1))
        return self.states.index_select(0, index.ravel()).view(*index.shape, -1)


@dataclass(frozen=True)
class Feed:
    """Every row of a job as columns. `arrays` and `targets` are tensors [rows, ...]; texts are token columns."""

    arrays: Mapping[str, Tensor]
    tokens: Mapping[str, TokenFeed]
    targets: Mapping[str, Tensor]
    parts: Mapping[Part, Tensor]
    """Row numbers of each part, int64."""
    device: torch.device
    embedded: Mapping[str, Tensor] = field(default_factory=dict)
    """Stored embeddings that are standardised already, float32 [rows, d]."""
    views: Mapping[str, Views] = field(default_factory=dict)
    """Stored augmented views, which take the place of `arrays` and `embedded` while training."""
    served: Mapping[str, ServedRows] = field(default_factory=dict)
    """Embeddings of test rows as Predict computes them, where `arrays` and `embedded` have them rounded further."""
    images: Loader | None = None
    """Loads the images of encoders that run in every epoch."""
    as_predict: bool = False
    """Whether rows are taken as Predict reads them: `served` in the place of what training reads."""

    @property
    def runs_encoders(self) -> bool:
        """Whether an encoder reads rows in every epoch."""
        return bool(self.tokens) or self.images is not None

    @property
    def load_seconds(self) -> float:
        """For how long, in sum, processes have been loading images for it."""
        return self.images.seconds if self.images is not None else 0.0

    def close(self) -> None:
        """Ends the processes that load images."""
        if self.images is not None:
            self.images.close()

    def standardised(self, model: ECD, limit_bytes: int) -> "Feed":
        """The feed with stored embeddings standardised once instead of at every step, as far as they fit a limit."""
        arrays, embedded, views, served = dict(self.arrays), dict(self.embedded), dict(self.views), dict(self.served)
        for name, encoder in model.pretrained().items():
            # in bytes: what is standardised is float32
            size = 4 * arrays[name].numel() if name in arrays else 0
            size += 4 * views[name].values.numel() if name in views else 0
            if not encoder.skipped or name not in arrays or size > limit_bytes:
                continue
            embedded[name] = _applied(encoder, arrays.pop(name))
            limit_bytes -= size
            # rows of all of them are put into one batch, so all are standardised or none
            if name in served:
                served[name] = served[name].with_values(_applied(encoder, served[name].values))
            if name in views:
                views[name] = views[name].with_values(_applied(encoder, views[name].values), standardised=True)
        return replace(self, arrays=arrays, embedded=embedded, views=views, served=served)

    def count(self, part: Part) -> int:
        """Rows of a part."""
        return len(self.parts[part])

    def stream(self, batches: Iterable[Tensor], epoch: int | None = None) -> Iterator[tuple[Tensor, Batch, Targets]]:
        """(rows, inputs, targets) batch by batch, images loaded ahead; augmented as drawn where `epoch` is given."""
        if self.images is None:
            for rows in batches:
                yield rows, *self.take(rows, epoch)
            return
        # the loader takes from `asked` as far ahead as it loads; `tee` keeps that much for `ordered`
        asked, ordered = tee(batches)
        loaded = self.images.stream((rows.tolist() for rows in asked), epoch)
        for rows, images in zip(ordered, loaded, strict=True):
            _require_images(images)
            batch, targets = self.take(rows, epoch)
            yield rows, {**batch, **{name: self._move(crops) for name, crops in images.crops.items()}}, targets

    def take(self, rows: Tensor, epoch: int | None = None) -> tuple[Batch, Targets]:
        """(inputs, targets) of some rows but for images, on the device; drawn views where `epoch` is given."""
        batch: dict[str, Value] = {name: self._select(values, rows) for name, values in self.arrays.items()}
        batch |= {name: Embedded(self._select(values, rows)) for name, values in self.embedded.items()}
        if self.as_predict:
            for name, served in self.served.items():
                value = batch[name]
                stored = value.vectors if isinstance(value, Embedded) else value
                assert isinstance(stored, Tensor)
                found = served.over(stored, rows)
                batch[name] = Embedded(found) if isinstance(value, Embedded) else found
        if epoch is not None:
            for name, views in self.views.items():
                batch[name] = self._drawn(views, batch[name], rows, epoch)
        for name, feed in self.tokens.items():
            ids, mask = feed.column.padded(rows.numpy(), feed.padding)
            tokens = Tokens(
                self._move(torch.from_numpy(ids)), None if mask is None else self._move(torch.from_numpy(mask))
            )
            states = feed.states_of(rows.numpy(), ids.shape[1])
            batch[name] = tokens if states is None else LayerInputs(*tokens, self._move(states))
        return batch, {name: self._select(values, rows) for name, values in self.targets.items()}

    def _drawn(self, views: Views, plain: Value, rows: Tensor, epoch: int) -> Value:
        """The views that an epoch draws; of rows that have none, as a fold of a sweep may train on, what is plain."""
        values = self._select(views.values, views.index(rows, epoch).clamp(min=0))
        without = views.positions[rows] < 0
        if without.any():
            stored = plain.vectors if isinstance(plain, Embedded) else plain
            assert isinstance(stored, Tensor)
            values = torch.where(self._move(without)[:, None], stored, values)
        return Embedded(values) if views.standardised else values

    def shuffled(self, part: Part, batch_size: int, seed: int, epoch: int) -> Iterator[Tensor]:
        """Row numbers batch by batch in an order drawn from (seed, epoch) alone.

        Where there are texts, batches hold rows of similar length: a shuffle, then a sort by length within every 32
        batches, then a shuffle of the batches.
        """
        # not seed + epoch, by which one seed's second epoch would be the first of the next; and not torch's own
        # generator, so that a run that goes on within an epoch can draw the same order again
        generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % (1 << 63))
        rows = self.parts[part]
        rows = rows[torch.randperm(len(rows), generator=generator)]
        if not self.tokens:
            yield from torch.split(rows, batch_size)
            return
        lengths = self.lengths()
        batches: list[Tensor] = []
        for bucket in torch.split(rows, batch_size * _BUCKET_BATCHES):
            batches += torch.split(bucket[torch.argsort(lengths[bucket], stable=True)], batch_size)
        for index in torch.randperm(len(batches), generator=generator).tolist():
            yield batches[index]

    def in_order(self, part: Part, batch_size: int) -> Iterator[Tensor]:
        """Row numbers batch by batch as the rows stand in the data."""
        yield from torch.split(self.parts[part], batch_size)

    def ordered(self, part: Part, batch_size: int, most_rows: int | None = None) -> Iterator[Tensor]:
        """Row numbers batch by batch for evaluation, similar lengths together where there are texts.

        Of a part of more than `most_rows` so many rows, at even distances.
        """
        rows = self.parts[part]
        if most_rows is not None and len(rows) > most_rows:
            # float32 has all whole numbers up to 2**24 only
            rows = rows[torch.linspace(0, len(rows) - 1, most_rows, dtype=torch.float64).long()]
        if self.tokens:
            rows = rows[torch.argsort(self.lengths()[rows], descending=True, stable=True)]
        yield from torch.split(rows, batch_size)

    def longest(self, count: int) -> Tensor:
        """The training rows that cost most memory."""
        rows = self.parts[Part.TRAIN]
        if not self.tokens:
            return rows[:count]
        return rows[torch.argsort(self.lengths()[rows], descending=True)][:count]

    def lengths(self) -> Tensor:
        """Tokens of each row in all texts together, int64."""
        lengths: npt.NDArray[np.int64] = np.sum([feed.column.lengths for feed in self.tokens.values()], axis=0)
        return torch.from_numpy(lengths)

    def _select(self, values: Tensor, rows: Tensor) -> Tensor:
        if values.device.type == self.device.type == "cpu":
            return values.index_select(0, rows)
        if values.device == self.device:
            return values.index_select(0, rows.to(self.device, non_blocking=True))
        return self._move(values.index_select(0, rows))

    def _move(self, values: Tensor) -> Tensor:
        if self.device.type == "cuda":
            # from memory that is not pinned, the copy would not be asynchronous
            return values.pin_memory().to(self.device, non_blocking=True)
        return values


def _require_images(images: LoadedImages) -> None:
    """Every image could be decoded before the training; files may have changed since."""
    for name, bad in images.bad.items():
        if bad:
            row, reason = next(iter(bad.items()))
            raise TrainingFailedError(
                f"the image of {name!r} in row {row + 1} cannot be read any more: {reason}", reason=Reason.BAD_IMAGE
            )


def _applied(encoder: PretrainedInput, values: Tensor) -> Tensor:
    """What an encoder makes of stored embeddings, block by block, so that no copy but the result is ever whole."""
    result = torch.empty(values.shape, dtype=torch.float32, device=values.device)
    with torch.no_grad():
        for start in range(0, len(values), _BLOCK_ROWS):
            result[start : start + _BLOCK_ROWS] = encoder(values[start : start + _BLOCK_ROWS])
    return result
