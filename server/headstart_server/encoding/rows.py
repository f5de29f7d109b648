"""The rows of one pretrained input, whatever it reads: their keys, and the passes over them.

What is particular to texts or to images is said by a subclass, one for each modality: see `modalities`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from headstart_server.core.errors import TrainingFailedError
from headstart_server.core.reasons import Reason
from headstart_server.data.dataset import PreparedData
from headstart_server.data.features.cells import Where
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.images.decode import ImageLimits
from headstart_server.data.images.reader import ImageReader
from headstart_server.data.parts import Parts
from headstart_server.data.tables import Sources, Table
from headstart_server.embedding_store.fill import Encoded
from headstart_server.embedding_store.key import Keys
from headstart_server.encoding.encode_pool import EncodeTask
from headstart_server.encoding.encoder_cache import EncoderCache
from headstart_server.planning.pretrained import PretrainedPlan
from headstart_server.training.feed import TokenFeed

Found = Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]]
"""(positions, embeddings [n, d]) batch by batch, in any order."""


def _nothing() -> None:
    """Stops nothing."""


@dataclass(frozen=True)
class PassContext:
    """What passes run with."""

    device: torch.device
    tokens: Path
    """Folder of the token cache."""
    image_limits: ImageLimits
    encoder_cache: EncoderCache = field(default_factory=EncoderCache)
    check: Callable[[], None] = _nothing
    """Called once in a while; may raise to stop a pass."""
    most_loaders: int | None = None
    """Processes that may load images while this one encodes; None: as many as the machine is worth."""


@dataclass
class EpochInputs:
    """Inputs that an encoder reads anew in every epoch, by name."""

    tokens: dict[str, TokenFeed] = field(default_factory=dict)
    readers: dict[str, ImageReader] = field(default_factory=dict)


Encoder = TypeVar("Encoder", bound=nn.Module)


class EncoderPass(ABC, Generic[Encoder]):
    """The pass of one encoder, whose weights are loaded when the first row needs them, or lie in a cache."""

    piece_rows: ClassVar[int | None]
    """Rows that are worth a call of their own; None: the more at a time the better."""
    waited = 0.0
    """Seconds in which the encoder waited for its data."""

    def __init__(self, plan: PretrainedPlan, context: PassContext) -> None:
        # the space of rows as they are, also where a view is read: one encoder reads all views
        self._space, self._context = plan.space.identifier, context
        self._encoder: Encoder | None = None

    def load(self) -> Encoder:
        """The encoder, from the cache or loaded: seconds. It stays, whatever others put into the cache meanwhile."""
        encoder = self._encoder
        if encoder is None:
            encoder = self._encoder = self._context.encoder_cache.get(self._space, self._loaded)
        return encoder

    @abstractmethod
    def _loaded(self) -> Encoder:
        """The encoder in the plan's precision, on the device."""

    @abstractmethod
    def __call__(self, rows: npt.NDArray[np.int64]) -> Iterator[Encoded]:
        """Encodes rows; yields (rows, embeddings) batch by batch."""


class InputRows(ABC):
    """The rows of one pretrained input."""

    @classmethod
    @abstractmethod
    def of_data(cls, data: PreparedData, feature: FittedFeature, context: PassContext) -> Self:
        """Those of a job, prepared."""

    @classmethod
    @abstractmethod
    def of_task(cls, sources: Sources, task: EncodeTask, context: PassContext) -> Self:
        """Those of a job as a process of its encode pool reads them, which has prepared nothing."""

    @classmethod
    @abstractmethod
    def of_table(cls, table: Table, feature: FittedFeature, where: Where, context: PassContext) -> Self:
        """Those of a request; raises InvalidInputError naming every row that cannot be used."""

    @property
    @abstractmethod
    def keys(self) -> Keys:
        """Of every row."""

    @abstractmethod
    def keys_of(self, rows: npt.NDArray[np.int64]) -> Keys:
        """Of some rows, without a look at the others."""

    @property
    def file_keys(self) -> Keys | None:
        """Keys that processes of an encode pool have to be told; None where they read the same by themselves."""
        return None

    @abstractmethod
    def encoder_pass(self, plan: PretrainedPlan, view: int | None = None) -> EncoderPass[Any]:
        """The pass over the rows, or over one of their stored views."""

    @abstractmethod
    def encoded(self, plan: PretrainedPlan, encoder: nn.Module, rows: npt.NDArray[np.int64]) -> Found:
        """Some rows by an encoder that is at hand, by their position among them."""

    @abstractmethod
    def embedding(self, plan: PretrainedPlan, encoder: nn.Module, row: int) -> npt.NDArray[np.float32]:
        """Of one row [1, d], by an encoder that is at hand: computed as for somebody who waits for it."""

    @abstractmethod
    def join(self, inputs: EpochInputs, plan: PretrainedPlan) -> None:
        """Adds the rows to what is read in every epoch."""

    @abstractmethod
    def readable(self, parts: Parts) -> npt.NDArray[np.int64]:
        """Rows that every process reads alike."""

    fallible: ClassVar[bool]
    """Whether rows can turn out to be unusable while they are encoded."""

    @property
    @abstractmethod
    def bad(self) -> dict[int, str]:
        """Rows that turned out to be unusable, with the reason, and are not settled yet."""

    @abstractmethod
    def find_bad(self, plan: PretrainedPlan, rows: npt.NDArray[np.int64]) -> None:
        """Reads some rows to find those that are unusable."""

    @abstractmethod
    def settle_bad(self, policy: str, parts: Parts, where: Where) -> str:
        """Applies a policy to `bad`; says what was done.

        Rows that are left out leave `parts`. Raises InvalidInputError where the policy is `fail`.
        """

    @abstractmethod
    def require_usable(self, where: Where) -> None:
        """Raises InvalidInputError naming the rows in `bad`."""


def require_finite_embeddings(embeddings: npt.NDArray[np.float32], plan: PretrainedPlan) -> None:
    """Raises TrainingFailedError, with what to do, for embeddings that are not finite."""
    if not np.isfinite(embeddings).all():
        field_path = f"{plan.path}.preprocessing.embedding_precision"
        raise TrainingFailedError(
            f"the encoder gives numbers that are not finite in {plan.precision}; set {field_path} to fp32",
            reason=Reason.NON_FINITE_EMBEDDING,
            field=field_path,
        )
