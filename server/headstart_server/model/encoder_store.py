"""Where the encoders of published models are: copies that models share, and what is a model's own."""

from dataclasses import dataclass, field
from typing import Any

from headstart_server.core.errors import DataLossError, FailedPreconditionError
from headstart_server.core.reasons import Reason
from headstart_server.encoders.image import ImageSource, opened_source
from headstart_server.model.integrity import damaged
from headstart_server.storage.folders import SharedFolders


class EncoderStore:
    """Shared copies of frozen encoders, one per digest, so that models outlive the folder they came from."""

    def __init__(self, folders: SharedFolders) -> None:
        self._folders = folders

    def keep(self, source: ImageSource) -> str:
        """Copies a source on first sight, and where the kept copy is damaged; returns its digest."""
        digest = source.identity
        if digest in self._folders and not self._sound(digest, source.name):
            self._folders.remove(digest)
        if digest not in self._folders:
            # whoever else publishes it meanwhile publishes the same files, and either folder will do
            with self._folders.publish(digest) as folder:
                source.copy(folder)
        return digest

    def _sound(self, digest: str, name: str) -> bool:
        try:
            self.source(digest, name)
        except (FailedPreconditionError, DataLossError):
            return False
        return True

    def source(self, digest: str, name: str) -> ImageSource:
        """The kept copy; raises FailedPreconditionError if it is gone, DataLossError if it is damaged."""
        try:
            folder = self._folders.path(digest)
        except FileNotFoundError:
            raise FailedPreconditionError(
                f"the encoder {name!r} ({digest}) is missing from the state directory; train again",
                reason=Reason.ENCODER_MISSING,
            ) from None
        try:
            source = opened_source(name, folder)
            sound = source.identity == digest
        except (OSError, ValueError, LookupError, TypeError):
            sound = False
        if not sound:
            raise damaged(f"the kept encoder {name!r} ({digest})", "its files are not those that were kept")
        return source


@dataclass(frozen=True)
class EncoderReference:
    """Where the encoder of an input is: a digest in the encoder store, or a folder of the bundle if fine-tuned.

    Of one with an adapter both: the digest of its weights, and the folder of the adapter.
    """

    kind: str
    """`text` or `image`."""
    name: str
    digest: str
    folder: str
    reduction: str
    dimension: int
    space: dict[str, str]
    """Description of the embedding space it was trained in; empty for fine-tuned encoders."""
    max_length: int = 0
    """Of a text in tokens."""
    transform: dict[str, Any] = field(default_factory=dict)
    """Of an image."""
    adapter: str = ""
    """The folder of its adapter, if it has one."""

    def to_json(self) -> dict[str, Any]:
        """What a bundle says; an adapter where there is one, since versions before have none."""
        return {name: value for name, value in vars(self).items() if name != "adapter" or value}

    @property
    def own_folder(self) -> str:
        """The folder of the bundle with what training has changed; empty of a frozen encoder."""
        return self.folder or self.adapter
