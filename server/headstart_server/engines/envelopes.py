"""What travels from the server to the processes that train and export: frozen values, which JSON carries unchanged."""

from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any

from pydantic import PlainSerializer, TypeAdapter

from headstart_server.core.digests import fingerprint
from headstart_server.core.versions import own_version
from headstart_server.data.images.decode import ImageLimits
from headstart_server.data.source import SourceRecord
from headstart_server.engines.retention import Limits
from headstart_server.spec.model import TrainSpec
from headstart_server.spec.training_sections import BackendSpec


@dataclass(frozen=True)
class RuntimeSettings:
    """What a process needs to build its `RuntimeContext`."""

    state_dir: str | None
    """The server's; None on machines that have no server and keep copies of a shared storage in a folder of their
    own."""
    tenant: str = ""
    """Whose job or export it is: it reads and writes what that tenant has. Empty: the default tenant."""
    shared_content: bool = False
    """Whether tenants find each other's stored embeddings."""
    storage_url: str = ""
    """Where machines share what they publish; empty: in the state directory alone."""
    model_root: str | None = None
    """The folder with pretrained models, if there is one."""
    hub_allowed: bool = False
    image_limits: ImageLimits = field(default_factory=ImageLimits)
    limits: Limits = field(default_factory=Limits)
    """Of the disks of machines that have no server."""
    precisions: dict[str, str] = field(default_factory=dict)
    """Which arithmetic is taken for fast, by device type, where that is settled."""
    serving_precision: str = "fp32"
    """In which arithmetic models answer, as the server's settings say."""
    version: str = field(default_factory=own_version)
    """Of Headstart, as the server has it."""

    def elsewhere(self) -> "RuntimeSettings":
        """For machines that share the storage but not the state directory."""
        return replace(self, state_dir=None)


@dataclass(frozen=True)
class RaySettings:
    """How jobs reach a Ray cluster."""

    address: str = ""
    """Empty: `RAY_ADDRESS`, or a cluster on this machine for each job."""
    grows: bool = False
    """Whether nodes are added when jobs need them."""
    timeout: int = 1800
    """Seconds for which workers wait for each other."""


@dataclass(frozen=True)
class JobEnvelope:
    """One job, for the process that drives it, its ranks and its actors."""

    identifier: str
    display_name: str
    spec: Annotated[TrainSpec, PlainSerializer(TrainSpec.compact)]
    sources: list[SourceRecord]
    runtime: RuntimeSettings
    ray: RaySettings = field(default_factory=RaySettings)
    trace: dict[str, str] = field(default_factory=dict)
    """Which span the job is a part of, as W3C headers; empty: of none."""
    halvings: int = 0
    """How often the rows of a pass are halved, because memory ran out."""
    description: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    initial_model: str = ""
    """Id of the model whose weights it begins from; empty: of none."""


def _given(section: BackendSpec) -> dict[str, Any]:
    return section.model_dump(exclude_defaults=True)


PREDICTIONS = "predictions"
"""The format of files of predictions."""


@dataclass(frozen=True)
class PredictionsOrder:
    """Rows of which the predictions are written into a file."""

    source: SourceRecord
    columns: tuple[str, ...] = ()
    """Of the rows, which the file has, too."""
    probabilities: bool = False
    reuse: str = "exact"
    """Which stored embeddings may stand in for the encoder: `exact`, `any` or `none`."""
    backend: Annotated[BackendSpec, PlainSerializer(_given)] = field(default_factory=BackendSpec)
    """Where encoders read what the store lacks."""

    @property
    def digest(self) -> str:
        """The same for orders of the same file, wherever it is made."""
        said = asdict(self)
        del said["backend"]
        return fingerprint(said)


@dataclass(frozen=True)
class ExportEnvelope:
    """One export, for the process that makes it."""

    identifier: str
    """Of the artifact to be."""
    model: str
    format: str
    """`onnx`, `torchscript` or `predictions`."""
    head_only: bool
    runtime: RuntimeSettings
    predictions: PredictionsOrder | None = None
    """Of the format `predictions`."""
    ray: RaySettings = field(default_factory=RaySettings)


_JOB, _EXPORT = TypeAdapter(JobEnvelope), TypeAdapter(ExportEnvelope)
_PREDICTIONS = TypeAdapter(PredictionsOrder | None)


def to_plain(envelope: JobEnvelope | ExportEnvelope) -> dict[str, Any]:
    """An envelope as values of JSON."""
    adapter: TypeAdapter[Any] = _JOB if isinstance(envelope, JobEnvelope) else _EXPORT
    plain: dict[str, Any] = adapter.dump_python(envelope, mode="json")
    return plain


def job_envelope(plain: dict[str, Any]) -> JobEnvelope:
    """The envelope that was made plain; raises pydantic's ValidationError for what is none."""
    return _JOB.validate_python(plain)


def export_envelope(plain: dict[str, Any]) -> ExportEnvelope:
    """The envelope that was made plain; raises pydantic's ValidationError for what is none."""
    return _EXPORT.validate_python(plain)


def predictions_text(order: PredictionsOrder | None) -> str:
    """An order of predictions as text, the same for orders that say the same."""
    return _PREDICTIONS.dump_json(order).decode()


def predictions_order(text: str) -> PredictionsOrder | None:
    """The order that `predictions_text` wrote; raises ValueError for what is none."""
    return _PREDICTIONS.validate_json(text)
