"""Plans every input of a spec."""

from headstart_server.core.errors import InvalidInputError
from headstart_server.core.reasons import Reason
from headstart_server.data.features.fitted import PRETRAINED
from headstart_server.encoders.catalog import DEFAULT_TYPES, INDICATOR_TYPES, encoder_type
from headstart_server.encoders.sources import ModelSources
from headstart_server.planning.image_inputs import plan_image
from headstart_server.planning.pretrained import PretrainedPlan
from headstart_server.planning.resolution import Resolution
from headstart_server.planning.text_inputs import plan_text
from headstart_server.planning.trainer import seed_of
from headstart_server.spec.model import FeatureSpec, TrainSpec


def plan_pretrained(
    feature: FeatureSpec, path: str, sources: ModelSources, resolution: Resolution, device_type: str, seed: int
) -> PretrainedPlan:
    """Plans one input that a pretrained encoder reads; `path` is where its errors say it is.

    Raises InvalidInputError.
    """
    if feature.type == "image":
        return plan_image(feature, path, sources, resolution, device_type, seed)
    return plan_text(feature, path, sources, resolution, device_type)


def plan_inputs(
    spec: TrainSpec, sources: ModelSources, resolution: Resolution, device_type: str
) -> dict[str, PretrainedPlan]:
    """Plans the pretrained inputs of a spec whose `defaults` are applied, and checks the encoders of the others.

    Raises InvalidInputError with all violations.
    """
    plans: dict[str, PretrainedPlan] = {}
    errors: list[InvalidInputError] = []
    for index, feature in enumerate(spec.input_features):
        path = f"input_features[{index}]"
        try:
            if feature.type in PRETRAINED:
                seed = seed_of(spec)
                plans[feature.name] = plan_pretrained(feature, path, sources, resolution, device_type, seed)
            else:
                default = (DEFAULT_TYPES if spec.by_steps else INDICATOR_TYPES)[feature.type]
                kind = resolution.settle(f"{path}.encoder.type", feature.encoder.type, default)
                encoder_type(kind, feature.type, f"{path}.encoder.type")
        except InvalidInputError as error:
            errors.append(error)
    if errors:
        raise InvalidInputError.of_all(errors, Reason.INVALID_INPUT)
    return plans
