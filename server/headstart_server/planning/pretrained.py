"""Plans pretrained inputs: which weights, pooling, length limit, precision, stored or not."""

from dataclasses import dataclass

from headstart_server.core.errors import InvalidInputError, Violation, invalid
from headstart_server.embedding_store.space import Space
from headstart_server.encoders.catalog import DEFAULT_TYPES, encoder_type
from headstart_server.encoders.precision import fast_precision
from headstart_server.encoders.sources import ModelSource, ModelSources
from headstart_server.encoders.text import TextPreparation, check_source, dimension_of, load_preparation
from headstart_server.planning.resolution import Origin, Resolution
from headstart_server.spec.model import EncoderSpec, FeatureSpec, PreprocessingSpec, TrainSpec

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
    source, reduction = _source(feature.encoder, path, sources, resolution)
    use_pretrained, trainable = _training(feature.encoder, path, resolution)
    cached = _caching(feature.preprocessing, path, resolution, trainable=trainable)
    preparation = _preparation(feature, path, source, resolution)
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
        precision="fp32" if trainable else _precision(feature.preprocessing, path, resolution, device_type),
    )


def _source(encoder: EncoderSpec, path: str, sources: ModelSources, resolution: Resolution) -> tuple[ModelSource, str]:
    """The weights, and how their token vectors become one, checked against each other."""
    type_path, name_path = f"{path}.encoder.type", f"{path}.encoder.pretrained_model_name_or_path"
    kind = encoder_type(resolution.settle(type_path, encoder.type, DEFAULT_TYPES["text"]), "text", type_path)
    name = resolution.settle(name_path, encoder.pretrained_model_name_or_path, kind.default_model)
    if not name:
        on_hand = ", ".join(sources.on_hand()) or "none"
        raise invalid(name_path, f"is missing; {kind.name} needs the name of its weights (on hand: {on_hand})")
    source = sources.find(name, encoder.revision, name_path)
    reduction = resolution.settle(f"{path}.encoder.reduce_output", encoder.reduce_output, "mean")
    check_source(source, kind, reduction, name_path)
    return source, reduction


def _training(encoder: EncoderSpec, path: str, resolution: Resolution) -> tuple[bool, bool]:
    """Whether training begins with the weights, and whether it changes them."""
    use_pretrained = resolution.settle(f"{path}.encoder.use_pretrained", encoder.use_pretrained, True)
    reason = "" if use_pretrained else "random weights must be trained"
    return use_pretrained, resolution.settle(f"{path}.encoder.trainable", encoder.trainable, not use_pretrained, reason)


def _caching(preprocessing: PreprocessingSpec, path: str, resolution: Resolution, *, trainable: bool) -> bool:
    """Whether embeddings are stored: refused where every step would make them wrong."""
    path = f"{path}.preprocessing.cache_encoder_embeddings"
    frozen, moving = "a frozen encoder gives the same embedding every time", "the encoder changes at every step"
    cached = resolution.settle(
        path, preprocessing.cache_encoder_embeddings, not trainable, moving if trainable else frozen
    )
    if trainable and cached:
        raise invalid(
            path,
            "true, but the encoder is trainable: every step would make the stored embeddings wrong; set it to false",
        )
    return cached


def _preparation(feature: FeatureSpec, path: str, source: ModelSource, resolution: Resolution) -> TextPreparation:
    """The tokenizer and its length limit, which the encoder must be able to read."""
    given = feature.preprocessing.max_sequence_length
    preparation = load_preparation(
        source, given or MAX_SEQUENCE_LENGTH, f"{path}.encoder.pretrained_model_name_or_path"
    )
    path = f"{path}.preprocessing.max_sequence_length"
    if given is not None and preparation.max_length < given:
        raise invalid(path, f"{given} is above the {preparation.max_length} tokens that {source.name!r} can read")
    resolution.settle(path, given, preparation.max_length)
    return preparation


def _precision(preprocessing: PreprocessingSpec, path: str, resolution: Resolution, device_type: str) -> str:
    """The arithmetic of the embedding pass."""
    given: str | None = preprocessing.embedding_precision
    return resolution.settle(
        f"{path}.preprocessing.embedding_precision",
        given,
        fast_precision(device_type),
        f"the fastest that this machine's {device_type} measures",
        Origin.MEASURED,
    )
