"""Models and aliases as messages."""

from collections.abc import Sequence
from dataclasses import asdict

from headstart.v1 import model_pb2 as pb

from headstart_server.core.names import name_of
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.engines.events import evaluation_of
from headstart_server.jobs.models import Alias
from headstart_server.rpc.evaluation import evaluation_message
from headstart_server.rpc.jobs import JOBS, MODELS, dataset_message, epoch_message
from headstart_server.rpc.messages import spec_message, timestamp
from headstart_server.service.models import PublishedModel
from headstart_server.training.reports import EpochReport


def model_message(model: PublishedModel, *, full: bool) -> pb.Model:
    """A model, in MODEL_VIEW_FULL or in MODEL_VIEW_BASIC."""
    bundle, said = model.bundle, model.details
    details = bundle.details
    message = pb.Model(
        name=name_of(MODELS, bundle.folder.name),
        display_name=said.display_name,
        description=said.description,
        labels=said.labels,
        update_time=timestamp(said.update_time),
        aliases=[name_of(MODELS, alias) for alias in model.aliases],
        job=name_of(JOBS, details["job"]),
        create_time=timestamp(details["create_time"]),
        metrics=epoch_message(EpochReport(**details["metrics"])),
        inputs=_inputs(bundle.inputs),
        outputs=[_output(feature, full=full) for feature in bundle.outputs],
        size_bytes=model.size_bytes,
        digest=details["digest"],
        encoder_digests={name: item.digest for name, item in bundle.encoders.items() if item.digest},
        # of models of before nobody has written down what follows
        datasets=[dataset_message(**dataset) for dataset in details.get("datasets", [])],
        initial_model=name_of(MODELS, initial) if (initial := details.get("initial_model")) else "",
    )
    if model.served is not None:
        message.served_precision.CopyFrom(pb.ServedPrecision(**asdict(model.served)))
    if full:
        message.spec.CopyFrom(spec_message(bundle.spec.compact()))
        message.evaluation.extend(map(evaluation_message, evaluation_of(details)))
    return message


def alias_message(alias: Alias) -> pb.ModelAlias:
    """An alias."""
    return pb.ModelAlias(
        name=name_of(MODELS, alias.alias),
        model=name_of(MODELS, alias.model),
        update_time=timestamp(alias.update_time),
    )


def _inputs(features: Sequence[FittedFeature]) -> list[pb.InputColumn]:
    needed = {feature.spec.source for feature in features if not feature.optional}
    return [
        pb.InputColumn(
            column=feature.spec.source,
            type=feature.spec.type,
            feature=feature.name,
            optional=feature.spec.source not in needed,
            width=feature.width,
        )
        for feature in features
    ]


def _output(feature: FittedFeature, *, full: bool) -> pb.OutputColumn:
    classes = feature.classes
    return pb.OutputColumn(
        feature=feature.name,
        type=feature.spec.type,
        classes=classes if full else (),
        class_count=len(classes),
        width=feature.width,
    )
