"""The model that a job begins from: what of the job must be as it was there, and what the job takes over."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from headstart_server.core.errors import InvalidInputError, NotFoundError, Violation
from headstart_server.core.reasons import Reason
from headstart_server.data.features.fitted import PRETRAINED, FittedFeature
from headstart_server.model.bundle import Bundle
from headstart_server.model.ecd import ECD
from headstart_server.model.encoder_store import EncoderReference, EncoderStore
from headstart_server.model.neural_head import NeuralHead
from headstart_server.model.registry import ModelRegistry
from headstart_server.planning.pretrained import PretrainedPlan
from headstart_server.spec.adapter import AdapterSpec
from headstart_server.spec.model import FeatureSpec, TrainSpec
from headstart_server.spec.section import Section

_FREE: Mapping[str, frozenset[str]] = {
    "encoder": frozenset({"dropout"}),
    "decoder": frozenset({"dropout", "threshold", "calibration"}),
    "combiner": frozenset({"dropout", "virtual_batch_size"}),
    "adapter": frozenset({"dropout"}),
    # of how embeddings are made and kept the reference to the encoder tells
    "preprocessing": frozenset(
        {
            "cache_encoder_embeddings",
            "embedding_precision",
            "cached_views",
            "bad_image_policy",
            "max_sequence_length",
        }
    ),
}
"""Keys of a section that change nothing of what is taken over."""
_FIX = "use the same, or train without initial_model"


@dataclass(frozen=True)
class InitialModel:
    """A published model, as a job begins from it."""

    bundle: Bundle
    encoder_store: EncoderStore

    @classmethod
    def at(cls, identifier: str, models: ModelRegistry, encoder_store: EncoderStore) -> "InitialModel":
        """By its id; raises NotFoundError naming the field of the request."""
        try:
            return cls(models.get(identifier), encoder_store)
        except NotFoundError as error:
            raise NotFoundError(error.message, field="initial_model") from None

    @property
    def name(self) -> str:
        """For people."""
        return f"models/{self.bundle.folder.name}"

    @property
    def features(self) -> dict[str, FittedFeature]:
        """Inputs and outputs with their statistics, by name."""
        return {feature.name: feature for feature in (*self.bundle.inputs, *self.bundle.outputs)}

    def taken_over(self, spec: TrainSpec, plans: Mapping[str, PretrainedPlan]) -> dict[str, PretrainedPlan]:
        """The plans of a job's pretrained inputs, whose encoders begin with this model's weights where it has its own.

        Raises InvalidInputError naming every field in which the job differs from this model.
        """
        violations = [*self._differences(spec), *self._other_encoders(plans)]
        if violations:
            raise InvalidInputError(violations, reason=Reason.INITIAL_MODEL_DIFFERS)
        return {name: self._begun(name, plan) for name, plan in plans.items()}

    def load(self, model: ECD) -> None:
        """Gives a new model this one's weights, but for those of encoders; raises InvalidInputError where the shapes
        differ."""
        state = self.bundle.learned_state()
        encoders = tuple(f"encoders.{index}.encoder." for index in range(len(model.encoders)))
        own = {key: value.shape for key, value in model.state_dict().items() if not key.startswith(encoders)}
        given = {key: value.shape for key, value in state.items()}
        if own != given:
            different = sorted(key for key in own.keys() | given.keys() if own.get(key) != given.get(key))
            message = f"{self.name} has other weights than this job's model: {', '.join(different[:5])}; {_FIX}"
            raise InvalidInputError(Violation("initial_model", message), reason=Reason.INITIAL_MODEL_DIFFERS)
        model.load_state_dict(state, strict=False)
        for output in model.output_names:  # fitted to the other rows; it is fitted again where it is wanted
            model.head.calibrate(output, 1.0)

    def _begun(self, name: str, plan: PretrainedPlan) -> PretrainedPlan:
        known = self.bundle.encoders[name]
        if known.adapter:
            return replace(plan, adapter_folder=self.bundle.adapter_folder(name))
        if not known.folder:
            return plan
        return replace(plan, source=self.bundle.source(name, self.encoder_store), use_pretrained=True)

    def _differences(self, spec: TrainSpec) -> Iterator[Violation]:
        bundle = self.bundle
        if not spec.by_steps:
            message = f"model_type: {spec.model_type} begins anew; train without it, or set model_type: ecd"
            yield Violation("initial_model", message)
            return
        if bundle.head != NeuralHead.kind:
            yield Violation("initial_model", f"{self.name} has a head of kind {bundle.head!r}, which learns in one go")
            return
        sides = (
            ("input_features", spec.input_features, bundle.inputs, bundle.spec.input_features),
            ("output_features", spec.output_features, bundle.outputs, bundle.spec.output_features),
        )
        for path, given, fitted, resolved in sides:
            names, known = [item.name for item in given], [item.name for item in fitted]
            if names != known:
                yield Violation(path, f"are {_few(names)}, and those of {self.name} {_few(known)}; {_FIX}")
                continue
            for index, (feature, item, settled) in enumerate(zip(given, fitted, resolved, strict=True)):
                yield from self._of_feature(f"{path}[{index}]", feature, item, settled)
        yield from self._of_section("combiner", spec.combiner, bundle.spec.combiner, bundle.spec.combiner)

    def _of_feature(
        self, path: str, feature: FeatureSpec, fitted: FittedFeature, resolved: FeatureSpec
    ) -> Iterator[Violation]:
        known = fitted.spec
        if feature.type != known.type:
            yield Violation(f"{path}.type", f"{feature.type!r}, and {self.name} has {known.type!r}; {_FIX}")
            return
        sections = ["preprocessing"]
        sections += ["decoder"] if fitted.output else [] if feature.type in PRETRAINED else ["encoder"]
        for section in sections:
            given, before, settled = (getattr(each, section) for each in (feature, known, resolved))
            yield from self._of_section(f"{path}.{section}", given, before, settled)
        if settled_adapter := resolved.encoder.adapter:
            yield from self._of_adapter(f"{path}.encoder.adapter", feature, known, settled_adapter)

    def _of_adapter(
        self, path: str, feature: FeatureSpec, known: FeatureSpec, resolved: AdapterSpec
    ) -> Iterator[Violation]:
        if feature.encoder.adapter is None:
            yield Violation(path, f"is unset, and {self.name} has an adapter; {_FIX}")
        else:
            yield from self._of_section(path, feature.encoder.adapter, known.encoder.adapter or resolved, resolved)

    def _of_section(self, path: str, given: Section, known: Section, resolved: Section) -> Iterator[Violation]:
        """What differs, unless it says in words what the model's spec was resolved to."""
        for key in type(given).model_fields:
            value = getattr(given, key)
            if key in _FREE[path.rpartition(".")[2]] or value in (getattr(known, key), getattr(resolved, key)):
                continue
            message = f"is {_shown(value)}, and {self.name} was trained with {_shown(getattr(resolved, key))}; {_FIX}"
            yield Violation(f"{path}.{key}", message)

    def _other_encoders(self, plans: Mapping[str, PretrainedPlan]) -> Iterator[Violation]:
        for name, plan in plans.items():
            known = self.bundle.encoders.get(name)
            if known is not None:
                yield from self._other_encoder(plan, known)

    def _other_encoder(self, plan: PretrainedPlan, known: EncoderReference) -> Iterator[Violation]:
        path = f"{plan.path}.encoder"
        if known.folder and not plan.tuning.trains:
            yield Violation(f"{path}.trainable", f"is false, and {self.name} has an encoder of its own; {_FIX}")
        if known.folder and plan.adapter is not None:
            yield Violation(f"{path}.adapter", f"is set, and {self.name} has an encoder of its own; {_FIX}")
        if not known.folder and not plan.use_pretrained:
            yield Violation(f"{path}.use_pretrained", f"is false, and {self.name} has pretrained weights; {_FIX}")
        same = plan.source.name == known.name if known.folder else plan.source.identity == known.digest
        if not same:
            message = f"{plan.source.name!r} has other weights than {known.name!r} of {self.name}; {_FIX}"
            yield Violation(f"{path}.pretrained_model_name_or_path", message)
        now = plan.reference("", "")
        for field, key in (
            ("reduction", "encoder.reduce_output"),
            ("max_length", "preprocessing.max_sequence_length"),
            ("dimension", "encoder"),
            ("transform", "encoder"),
        ):
            given, before = getattr(now, field), getattr(known, field)
            if _plain(given) != _plain(before) and same:
                message = f"is {_shown(given)}, and {self.name} was trained with {_shown(before)}; {_FIX}"
                yield Violation(f"{plan.path}.{key}", message)


def _plain(value: Any) -> Any:
    """As JSON gives it back."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _few(names: Sequence[str]) -> str:
    return ", ".join(name[:40] for name in names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _shown(value: Any) -> str:
    return "unset" if value in (None, [], {}) else repr(value)[:120]
