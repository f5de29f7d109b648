"""What one machine has of the folders that all machines share, beside folders of its own."""

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from headstart_server.core.files import folder_size, published_file, remove_folder
from headstart_server.core.pruning import Kept, mark_used


class Copies:
    """The folders at one place. A copy has a note beside it of what it is one of; what has none is the machine's own.

    A note's time is that of the copy's last use.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def names(self) -> list[str]:
        """Of all folders, copies or not."""
        return [path.name for path in self._root.glob("[!.]*") if path.is_dir()]

    def token(self, name: str) -> str:
        """Which published folder the one here is a copy of; empty where it is none."""
        try:
            return self._note(name).read_text(encoding="ascii", errors="replace")
        except FileNotFoundError:
            return ""

    def note(self, name: str, token: str) -> None:
        """Says what a folder is a copy of: before it is there, since one without a note counts as the machine's own."""
        with published_file(self._note(name)) as temporary:
            temporary.write_text(token, encoding="ascii")

    def used(self, name: str) -> None:
        """Notes that a copy is used now."""
        mark_used(self._note(name))

    def drop(self, name: str) -> None:
        """Removes a copy, of which nobody sees half."""
        with suppress(FileNotFoundError):
            remove_folder(self._root / name)
        # the note goes last: without it what a crash leaves of the folder would count as this machine's own
        self._note(name).unlink(missing_ok=True)

    def kept(self) -> Iterator[Kept]:
        """Every copy, which can be fetched again."""
        for name in self.names():
            if self.token(name):
                with suppress(FileNotFoundError):
                    yield Kept(self._note(name), folder_size(self._root / name), partial(self.drop, name))

    def _note(self, name: str) -> Path:
        return self._root / f".{name}.token"
