"""Plans pretrained inputs: which weights, pooling, length limit, precision, stored or not."""

from dataclasses import dataclass

from headstart_server.core.errors import InvalidInputError, Violation, invalid
from headstart_server.embedding_store.space import Space
from headstart_server.encoders.catalog import DEFAULT_TYPES, encoder_type
from headstart_server.encoders.precision import fast_precision
from headstart_server.encoders.sources import ModelSource, ModelSources
from headstart_server.encoders.text import TextPreparation, check_source, dimension_of, load_preparation
from headstart_server.planning.resolution import Origin, Resolution
from headstart_server.spec.model import FeatureSpec, TrainSpec

MAX_SEQUENCE_LENGTH = 256


@dataclass(frozen=True)
class PretrainedPlan:
    """One pretrained input, resolved."""

    name: str
    path: str
    source: ModelSource
    preparation: TextPreparation
    reduction: str
    dimension: int
    use_pretrained: bool
    trainable: bool
    cached: bool
    precision: str

    @property
    def space(self) -> Space:
        """The embedding space of the frozen encoder."""
        return Space(
            kind="text",
            weights=self.source.weights_digest,
            preparation=self.source.tokenizer_digest,
            pooling=self.reduction,
            max_length=self.preparation.max_length,
            precision=self.precision,
            dimension=self.dimension,
        )


def plan_pretrained(
    spec: TrainSpec, sources: ModelSources, resolution: Resolution, device_type: str
) -> dict[str, PretrainedPlan]:
    """Plans every text input of a spec whose `defaults` are applied; raises InvalidInputError with all violations."""
    plans: dict[str, PretrainedPlan] = {}
    violations: list[Violation] = []
    for index, feature in enumerate(spec.input_features):
        path = f"input_features[{index}]"
        try:
            if feature.type == "text":
                plans[feature.name] = plan_text(feature, path, sources, resolution, device_type)
            else:
                kind = resolution.settle(f"{path}.encoder.type", feature.encoder.type, DEFAULT_TYPES[feature.type])
                encoder_type(kind, feature.type, f"{path}.encoder.type")
        except InvalidInputError as error:
            violations.extend(error.violations)
    if violations:
        raise InvalidInputError(violations)
    return plans


def plan_text(
    feature: FeatureSpec, path: str, sources: ModelSources, resolution: Resolution, device_type: str
) -> PretrainedPlan:
    """Plans one text input."""
    encoder, preprocessing = feature.encoder, feature.preprocessing
    kind = encoder_type(
        resolution.settle(f"{path}.encoder.type", encoder.type, DEFAULT_TYPES["text"]), "text", f"{path}.encoder.type"
    )
    name_path = f"{path}.encoder.pretrained_model_name_or_path"
    name = resolution.settle(name_path, encoder.pretrained_model_name_or_path, kind.default_model)
    if not name:
        on_hand = ", ".join(sources.on_hand()) or "none"
        raise invalid(name_path, f"is missing; {kind.name} needs the name of its weights (on hand: {on_hand})")
    source = sources.find(name, encoder.revision, name_path)
    reduction = resolution.settle(f"{path}.encoder.reduce_output", encoder.reduce_output, "mean")
    check_source(source, kind, reduction, name_path)
    use_pretrained = resolution.settle(f"{path}.encoder.use_pretrained", encoder.use_pretrained, True)
    trainable = resolution.settle(
        f"{path}.encoder.trainable",
        encoder.trainable,
        not use_pretrained,
        "" if use_pretrained else "random weights must be trained",
    )
    cached = resolution.settle(
        f"{path}.preprocessing.cache_encoder_embeddings",
        preprocessing.cache_encoder_embeddings,
        not trainable,
        "a frozen encoder gives the same embedding every time"
        if not trainable
        else "the encoder changes at every step",
    )
    if trainable and cached:
        raise invalid(
            f"{path}.preprocessing.cache_encoder_embeddings",
            "true, but the encoder is trainable: every step would make the stored embeddings wrong; set it to false",
        )
    given_length = preprocessing.max_sequence_length
    preparation = load_preparation(source, given_length or MAX_SEQUENCE_LENGTH, name_path)
    length_path = f"{path}.preprocessing.max_sequence_length"
    if given_length is not None and preparation.max_length < given_length:
        raise invalid(
            length_path, f"{given_length} is above the {preparation.max_length} tokens that {name!r} can read"
        )
    resolution.settle(length_path, given_length, preparation.max_length)
    precision = "fp32"
    if not trainable:
        precision = resolution.settle(
            f"{path}.preprocessing.embedding_precision",
            preprocessing.embedding_precision,
            fast_precision(device_type),
            f"the fastest that this machine's {device_type} measures",
            Origin.MEASURED,
        )
    return PretrainedPlan(
        name=feature.name,
        path=path,
        source=source,
        preparation=preparation,
        reduction=reduction,
        dimension=dimension_of(source),
        use_pretrained=use_pretrained,
        trainable=trainable,
        cached=cached,
        precision=precision,
    )
