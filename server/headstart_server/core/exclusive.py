"""A folder or file that one process at a time works with."""

import fcntl
import os
from pathlib import Path

from headstart_server.core.errors import FailedPreconditionError
from headstart_server.core.reasons import Reason


class Exclusive:
    """Held from its making to `close`, or to the end of the process, however that comes.

    Raises FailedPreconditionError, which calls the thing `what`, where another process has it.
    """

    def __init__(self, file: Path, what: str) -> None:
        self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            # of the open file, which no child inherits: the system lets go of it with the process
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            raise FailedPreconditionError(
                f"{what} is used by another server (process {holder or 'unknown'}); stop that one, or name another",
                reason=Reason.IN_USE,
            ) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Lets go."""
        os.close(self._descriptor)
