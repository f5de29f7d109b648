"""Plans every input of a spec."""

from headstart_server.core.errors import InvalidInputError, Violation
from headstart_server.encoders.catalog import DEFAULT_TYPES, encoder_type
from headstart_server.encoders.sources import ModelSources
from headstart_server.planning.image_inputs import plan_image
from headstart_server.planning.pretrained import PretrainedPlan
from headstart_server.planning.resolution import Resolution
from headstart_server.planning.text_inputs import plan_text
from headstart_server.planning.trainer import seed_of
from headstart_server.spec.model import TrainSpec


def plan_inputs(
    spec: TrainSpec, sources: ModelSources, resolution: Resolution, device_type: str
) -> dict[str, PretrainedPlan]:
    """Plans the pretrained inputs of a spec whose `defaults` are applied, and checks the encoders of the others.

    Raises InvalidInputError with all violations.
    """
    plans: dict[str, PretrainedPlan] = {}
    violations: list[Violation] = []
    for index, feature in enumerate(spec.input_features):
        path = f"input_features[{index}]"
        try:
            if feature.type == "text":
                plans[feature.name] = plan_text(feature, path, sources, resolution, device_type)
            elif feature.type == "image":
                plans[feature.name] = plan_image(feature, path, sources, resolution, device_type, seed_of(spec))
            else:
                kind = resolution.settle(f"{path}.encoder.type", feature.encoder.type, DEFAULT_TYPES[feature.type])
                encoder_type(kind, feature.type, f"{path}.encoder.type")
        except InvalidInputError as error:
            violations.extend(error.violations)
    if violations:
        raise InvalidInputError(violations)
    return plans
