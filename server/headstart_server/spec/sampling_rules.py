"""Rules of which rows are drawn: how many of all, and of which labels."""

from collections.abc import Iterator

from headstart_server.core.errors import Violation
from headstart_server.spec.model import FeatureSpec, TrainSpec

_LABELLED = ("category", "binary")


def balanced_output(spec: TrainSpec) -> FeatureSpec | None:
    """The output whose labels are balanced where `oversample_minority` or `undersample_majority` is set."""
    labelled = [feature for feature in spec.output_features if feature.type in _LABELLED]
    return labelled[0] if len(labelled) == 1 else None


def sampling_rules(spec: TrainSpec) -> Iterator[Violation]:
    """What excludes or needs what."""
    preprocessing = spec.preprocessing
    if preprocessing.sample_size is not None and (preprocessing.sample_ratio or 1.0) < 1.0:
        yield Violation("preprocessing.sample_size", "excludes sample_ratio below 1; leave one of them out")
    asked = [key for key in ("oversample_minority", "undersample_majority") if getattr(preprocessing, key) is not None]
    if len(asked) == 2:
        yield Violation("preprocessing.undersample_majority", "excludes oversample_minority; leave one of them out")
    if not asked:
        return
    path, output = f"preprocessing.{asked[0]}", balanced_output(spec)
    if output is None:
        count = sum(feature.type in _LABELLED for feature in spec.output_features)
        yield Violation(path, f"needs exactly one category or binary output, not {count}; leave it out")
    elif output.loss.balance_classes:
        yield Violation(path, f"excludes loss.balance_classes of {output.name!r}, which would count rare labels twice")
