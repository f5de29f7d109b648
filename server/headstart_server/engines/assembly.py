"""Assembles what the loop needs: every row as columns, and the model on its device."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from headstart_server.data.dataset import PreparedData
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.images.loader import Loader, local_loader
from headstart_server.data.images.reader import ImageReader
from headstart_server.data.parts import Part, spread
from headstart_server.data.texts import TextColumn
from headstart_server.embedding_store.key import keys_of_chunks
from headstart_server.encoders.deferred import placed
from headstart_server.encoders.image import ImageEncoder
from headstart_server.encoders.image_passes import encode_crops
from headstart_server.encoders.passes import encode_batches
from headstart_server.encoders.text import TextEncoder
from headstart_server.encoders.tokens import TokenCache, TokenColumn
from headstart_server.engines.runtime_context import RuntimeContext
from headstart_server.engines.stored_inputs import StoredInput
from headstart_server.model.ecd import ECD, PretrainedInput
from headstart_server.planning.image_inputs import ImagePlan
from headstart_server.planning.pretrained import PretrainedPlan
from headstart_server.planning.rules import ENCODER_EPOCHS
from headstart_server.planning.text_inputs import TextPlan
from headstart_server.spec.model import TrainSpec
from headstart_server.training.feed import Feed, TokenFeed

Loading = Callable[[Mapping[str, ImageReader], int], Loader]
"""Makes the loader of so many images."""
_STANDARDISED_ROWS = 1_024
_STANDARDISED_BYTES = 256 << 20


@dataclass(frozen=True)
class Assembly:
    """One job's parts. `stored` holds the embeddings of cached inputs."""

    spec: TrainSpec
    plans: Mapping[str, PretrainedPlan]
    data: PreparedData
    stored: Mapping[str, StoredInput]
    runtime: RuntimeContext
    loading: Loading = local_loader

    def feed(self, model: ECD) -> Feed:
        """Every row: stored embeddings (standardised where memory allows), arrays, tokens, targets; on the device
        where it has room."""
        device = self.runtime.device
        columns = {name: item.embeddings for name, item in self.stored.items()}
        tokens, readers = {}, {}
        for feature in self.data.inputs:
            plan = self.plans.get(feature.name)
            if plan is None:
                columns[feature.name] = torch.from_numpy(self.data.array(feature))
            elif isinstance(plan, ImagePlan) and not plan.cached:
                readers[feature.name] = plan.reader(self.data.images[feature.name])
            elif isinstance(plan, TextPlan) and not plan.cached:
                tokens[feature.name] = TokenFeed(self._tokens(plan, feature), plan.preparation.padding)
        targets = {feature.name: torch.from_numpy(self.data.array(feature)) for feature in self.data.outputs}
        resident = {name: _resident(values, device) for name, values in columns.items()}
        parts = {part: torch.from_numpy(self.data.rows(part)) for part in (Part.VALIDATION, Part.TEST)}
        parts[Part.TRAIN] = torch.from_numpy(self.data.epoch_rows())
        outputs = {name: _resident(values, device) for name, values in targets.items()}
        views = {
            name: item.views.with_values(_resident(item.views.values, device), standardised=False)
            for name, item in self.stored.items()
            if item.views is not None
        }
        served = {name: item.served for name, item in self.stored.items() if item.served is not None}
        epochs = self.spec.trainer.epochs or ENCODER_EPOCHS
        loader = self.loading(readers, epochs * len(self.data.parts)) if readers else None
        feed = Feed(resident, tokens, outputs, parts, device, views=views, served=served, images=loader)
        return feed.standardised(model, _STANDARDISED_BYTES)

    def _tokens(self, plan: TextPlan, feature: FittedFeature) -> TokenColumn:
        """Token ids of every row, from the cache where this column was tokenised before."""
        column = TextColumn(self.data.texts(feature))
        cache = TokenCache(self.runtime.layout.tokens)
        path = cache.path(plan.source.tokenizer_digest, plan.preparation.max_length, keys_of_chunks(column.chunks))
        tokens = cache.load(path)
        if tokens is None:
            tokens = plan.preparation.tokenize(column)
            cache.save(path, tokens)
        return tokens

    def model(self, *, in_parts: bool = False) -> ECD:
        """The model on its device: skip encoders for stored embeddings, real ones otherwise.

        With `in_parts`, encoders that train are deferred, if their files can be read in parts.
        """
        device = self.runtime.device
        pretrained = {}
        sample = torch.from_numpy(spread(self.data.rows(Part.TRAIN), _STANDARDISED_ROWS))
        for feature in self.data.inputs:
            plan = self.plans.get(feature.name)
            if plan is None:
                continue
            item = pretrained[feature.name] = PretrainedInput(plan.dimension, plan.tuning)
            deferred = plan.defer_encoder() if in_parts and plan.tuning.trains else None
            if deferred is not None:
                item.defer(deferred)
            elif not plan.cached:
                item.restore(plan.load_encoder().to(device))
            if not plan.tuning.trains:
                item.standardise(
                    self.stored[feature.name].embeddings.index_select(0, sample)
                    if plan.cached
                    else self._embedded(plan, item, feature, sample)
                )
        return placed(ECD(self.data.inputs, self.data.outputs, self.spec.combiner, pretrained), device)

    def _embedded(self, plan: PretrainedPlan, item: PretrainedInput, feature: FittedFeature, rows: Tensor) -> Tensor:
        """Embeddings of some rows by an encoder that is not cached."""
        embeddings = torch.empty(len(rows), plan.dimension)
        for found, encoded in self._encoded(plan, item.encoder, feature, rows.numpy()):
            embeddings[torch.from_numpy(found)] = torch.from_numpy(encoded)
        return embeddings

    def _encoded(
        self, plan: PretrainedPlan, encoder: nn.Module, feature: FittedFeature, rows: npt.NDArray[np.int64]
    ) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]]:
        """(positions among `rows`, embeddings) by an encoder that is at hand."""
        device = self.runtime.device
        if isinstance(plan, TextPlan) and isinstance(encoder, TextEncoder):
            tokens = self._tokens(plan, feature).select(rows)
            yield from encode_batches(encoder, tokens, plan.preparation.padding, device)
        elif isinstance(plan, ImagePlan) and isinstance(encoder, ImageEncoder):
            reader = replace(plan.reader(self.data.images[feature.name]), augmentation=None)
            crops = ((np.array([index]), reader.crop(row, None)[None]) for index, row in enumerate(rows.tolist()))
            yield from encode_crops(encoder, crops, device)


def _resident(values: Tensor, device: torch.device) -> Tensor:
    """The column on the device where it takes less than half of its free memory, otherwise where it is."""
    if device.type == "cuda" and values.nbytes < torch.cuda.mem_get_info(device)[0] // 2:
        return values.to(device)
    return values
