"""The exported graph: tensors in, probabilities out, with encoder, normalisation and calibration inside."""

import torch
from torch import Tensor, nn

from headstart_server.core.errors import FailedPreconditionError
from headstart_server.core.reasons import Reason
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.features.number import NumberStatistics
from headstart_server.data.images.transform import ImageTransform
from headstart_server.encoders.image import ImageEncoder
from headstart_server.export.graph_inputs import GraphInput
from headstart_server.export.graph_names import distinct
from headstart_server.model.ecd import ECD, PretrainedInput, Tokens


class ExportGraph(nn.Module):
    """A model as one function of tensors.

    Inputs are those of `inputs`, in order: token ids and mask (int64 [b, t]) of a text; the pixels of an image (uint8
    [b, 3, h, w], RGB, of any size, which is resized and normalised inside); in a head-only graph the embedding (float32
    [b, d]) of either; numbers as they are in the data (float64 [b], NaN where missing); indices of
    categories (int64 [b]); truth values (float32 [b]); multi-hot sets (float32 [b, n]); vectors (float32 [b, d]).
    Outputs are one per output feature, in order: calibrated probabilities, or values in the data's units.
    """

    def __init__(
        self, model: ECD, inputs: tuple[FittedFeature, ...], outputs: tuple[FittedFeature, ...], *, head_only: bool
    ) -> None:
        super().__init__()
        self.model = model
        self.features = inputs
        self.outputs = outputs
        self.head_only = head_only
        self.inputs = distinct((item for feature in inputs for item in self._inputs(feature)), self.output_names)
        if not head_only:
            self._require_padded_batches()

    def _require_padded_batches(self) -> None:
        """Raises FailedPreconditionError for text encoders whose embeddings padding would change: a graph is padded."""
        for name, item in self.model.pretrained().items():
            if not item.one_pass:
                raise FailedPreconditionError(
                    f"the encoder of {name!r} gives a text another embedding when it is padded, so it reads texts of "
                    "one length at a time, which a graph cannot; export with head_only, and embed texts with Embed",
                    reason=Reason.NOT_EXPORTABLE,
                )

    @property
    def images(self) -> list[str]:
        """Names of the image inputs."""
        return [feature.name for feature in self.features if feature.spec.type == "image"]

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs."""
        return [feature.name for feature in self.outputs]

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Runs the model."""
        given = {(item.feature, item.role): tensor for item, tensor in zip(self.inputs, tensors, strict=True)}
        batch: dict[str, Tensor | Tokens] = {}
        for feature in self.features:
            name = feature.name
            if (name, "input_ids") in given:
                batch[name] = Tokens(given[name, "input_ids"], given[name, "attention_mask"])
            elif (name, "image") in given:
                batch[name] = self._transform(name).resized(given[name, "image"])
            elif (name, "embedding") in given:
                batch[name] = given[name, "embedding"]
            else:
                batch[name] = _normalised(feature, given[name, "value"])
        probabilities = self.model.probabilities(self.model(batch))
        return tuple(_restored(feature, probabilities[feature.name]) for feature in self.outputs)

    def _transform(self, name: str) -> ImageTransform:
        encoder = self.model.pretrained()[name].encoder
        assert isinstance(encoder, ImageEncoder)
        return encoder.transform

    def _inputs(self, feature: FittedFeature) -> list[GraphInput]:
        name, column = feature.name, feature.spec.source
        pretrained: PretrainedInput | None = self.model.pretrained().get(name)
        if pretrained is not None and self.head_only:
            axes: tuple[str | int, ...] = ("batch", pretrained.dimension)
            return [GraphInput(f"{name}_embedding", name, "embedding", torch.float32, axes, column)]
        if pretrained is not None and feature.spec.type == "image":
            axes = ("batch", 3, f"{_identifier(name)}_height", f"{_identifier(name)}_width")
            return [GraphInput(name, name, "image", torch.uint8, axes, column)]
        if pretrained is not None:
            axes = ("batch", f"{_identifier(name)}_length")
            roles = ("input_ids", "attention_mask")
            return [GraphInput(f"{name}_{role}", name, role, torch.int64, axes, column) for role in roles]
        dtypes = {"number": torch.float64, "category": torch.int64}
        widths = {"set": len(feature.classes), "vector": getattr(feature.statistics, "size", 0)}
        kind = feature.spec.type
        axes = ("batch", widths[kind]) if kind in widths else ("batch",)
        return [GraphInput(name, name, "value", dtypes.get(kind, torch.float32), axes, column)]


def _normalised(feature: FittedFeature, values: Tensor) -> Tensor:
    statistics = feature.statistics
    if not isinstance(statistics, NumberStatistics):
        return values
    filled = torch.where(torch.isnan(values), _exact(statistics.fill), values)
    if statistics.normalization == "log1p":
        # Written out, as in `_restored`: ONNX has neither log1p nor expm1.
        filled = torch.log(torch.clamp(filled, min=_exact(-1 + 1e-6)) + 1)
    limit = torch.finfo(torch.float32).max
    return torch.clamp((filled - _exact(statistics.shift)) / _exact(statistics.scale), -limit, limit).to(torch.float32)


def _restored(feature: FittedFeature, values: Tensor) -> Tensor:
    statistics = feature.statistics
    if not isinstance(statistics, NumberStatistics):
        return values
    restored = values.to(torch.float64) * _exact(statistics.scale) + _exact(statistics.shift)
    return torch.exp(restored) - 1 if statistics.normalization == "log1p" else restored


def _exact(value: float) -> Tensor:
    """A constant of the graph: of one that is Python's own, torch's exporter to ONNX keeps what float32 does."""
    return torch.tensor(value, dtype=torch.float64)


def _identifier(name: str) -> str:
    return "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in name)
