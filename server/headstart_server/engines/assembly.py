"""Assembles what the loop needs: every row as columns, and the model on its device."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from headstart_server.data.dataset import PreparedData
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.images.loader import Loader, local_loader
from headstart_server.data.images.reader import ImageReader
from headstart_server.data.parts import Part, spread
from headstart_server.encoders.deferred import placed
from headstart_server.encoding.modalities import MODALITIES
from headstart_server.encoding.rows import EpochInputs, InputRows
from headstart_server.engines.runtime_context import RuntimeContext, pass_context
from headstart_server.engines.stored_inputs import StoredInput
from headstart_server.model.ecd import ECD, PretrainedInput
from headstart_server.model.heads import head_kind
from headstart_server.planning.initial_model import InitialModel
from headstart_server.planning.pretrained import PretrainedPlan
from headstart_server.planning.rules import ENCODER_EPOCHS
from headstart_server.spec.model import TrainSpec
from headstart_server.training.feed import Feed

Loading = Callable[[Mapping[str, ImageReader], int], Loader]
"""Makes the loader of so many images."""
_STANDARDISED_ROWS = 1_024
_STANDARDISED_BYTES = 256 << 20


@dataclass(frozen=True)
class Assembly:
    """One job's parts. `stored` holds what the store keeps of inputs."""

    spec: TrainSpec
    plans: Mapping[str, PretrainedPlan]
    data: PreparedData
    stored: Mapping[str, StoredInput]
    runtime: RuntimeContext
    loading: Loading = local_loader
    initial: InitialModel | None = None
    """The model whose weights a new one begins with."""

    def feed(self, model: ECD) -> Feed:
        """Every row: stored embeddings (standardised where memory allows), arrays, tokens, targets; on the device
        where it has room."""
        device = self.runtime.device
        stored = {name: item for name, item in self.stored.items() if not item.of_tokens}
        columns = {name: item.embeddings for name, item in stored.items()}
        inputs = EpochInputs()
        for feature in self.data.inputs:
            plan = self.plans.get(feature.name)
            if plan is None:
                columns[feature.name] = torch.from_numpy(self.data.array(feature))
            elif not plan.cached:
                self._rows(feature).join(inputs, plan)
            if feature.name in self.stored and self.stored[feature.name].of_tokens:
                states = self.stored[feature.name].embeddings
                inputs.tokens[feature.name] = replace(inputs.tokens[feature.name], states=states)
        targets = {feature.name: torch.from_numpy(self.data.array(feature)) for feature in self.data.outputs}
        resident = {name: _resident(values, device) for name, values in columns.items()}
        parts = {part: torch.from_numpy(self.data.rows(part)) for part in (Part.VALIDATION, Part.TEST)}
        # oversampled rows several times, by number: their columns are there once
        parts[Part.TRAIN] = torch.from_numpy(self.data.epoch_rows())
        outputs = {name: _resident(values, device) for name, values in targets.items()}
        views = {
            name: item.views.with_values(_resident(item.views.values, device), standardised=False)
            for name, item in stored.items()
            if item.views is not None
        }
        served = {name: item.served for name, item in stored.items() if item.served is not None}
        epochs = self.spec.trainer.epochs or ENCODER_EPOCHS
        loader = self.loading(inputs.readers, epochs * len(self.data.parts)) if inputs.readers else None
        feed = Feed(resident, inputs.tokens, outputs, parts, device, views=views, served=served, images=loader)
        return feed.standardised(model, _STANDARDISED_BYTES)

    def _rows(self, feature: FittedFeature) -> InputRows:
        context = pass_context(self.runtime, lambda: None)
        return MODALITIES[feature.spec.type].of_data(self.data, feature, context)

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
        head, combiner = head_kind(self.spec.model_type), self.spec.combiner
        model = ECD(self.data.inputs, self.data.outputs, combiner, pretrained, head)
        if self.initial is not None:
            self.initial.load(model)
        return placed(model, device)

    def _embedded(self, plan: PretrainedPlan, item: PretrainedInput, feature: FittedFeature, rows: Tensor) -> Tensor:
        """Embeddings of some rows by an encoder that is not cached."""
        embeddings = torch.empty(len(rows), plan.dimension)
        for found, encoded in self._rows(feature).encoded(plan, item.encoder, rows.numpy()):
            embeddings[torch.from_numpy(found)] = torch.from_numpy(encoded)
        return embeddings


def _resident(values: Tensor, device: torch.device) -> Tensor:
    """The column on the device where it takes less than half of its free memory, otherwise where it is."""
    if device.type == "cuda" and values.nbytes < torch.cuda.mem_get_info(device)[0] // 2:
        return values.to(device)
    return values
