"""What a process does around its server: the folders that it needs, where it listens, and its end."""

import os
import tempfile
import threading
from pathlib import Path

from headstart_server.core.errors import FailedPreconditionError
from headstart_server.core.files import published_file
from headstart_server.core.reasons import Reason


def require_writable(folder: Path) -> None:
    """Raises FailedPreconditionError for a folder that cannot be made or written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise FailedPreconditionError(
            f"{folder} cannot be written: {error.strerror}; name another folder, or make it this user's",
            reason=Reason.BAD_SETTINGS,
        ) from error


def tell_port(file: Path | None, port: int) -> None:
    """Writes a port where whoever has started the server waits for it."""
    if file is not None:
        with published_file(file) as temporary:
            temporary.write_text(str(port), encoding="ascii")


def leave_within(seconds: float) -> None:
    """Ends the process in time, whatever its threads still compute: Python would wait for them without end."""
    timer = threading.Timer(seconds, os._exit, [0])
    timer.daemon = True
    timer.start()
