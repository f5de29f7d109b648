"""Advisory locks on open files (flock). They go when the process that holds them does, however it ends."""

import errno
import fcntl
from enum import Enum

_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


class Lock(Enum):
    """What came of asking for a lock."""

    MINE = "mine"
    TAKEN = "taken"
    UNKNOWN = "unknown"
    """The file system has no locks."""


def try_exclusive(descriptor: int) -> Lock:
    """Asks for the file alone, without waiting."""
    try:
        return _lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return Lock.TAKEN


def wait_exclusive(descriptor: int) -> Lock:
    """Waits until the file is this one's alone."""
    return _lock(descriptor, fcntl.LOCK_EX)


def share(descriptor: int) -> Lock:
    """Marks the file as in use, beside any number of others."""
    return _lock(descriptor, fcntl.LOCK_SH)


def _lock(descriptor: int, kind: int) -> Lock:
    try:
        # not POSIX locks: they belong to the process, whose descriptors would not exclude each other, and closing
        # any one would release them all
        fcntl.flock(descriptor, kind)
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return Lock.UNKNOWN
        raise
    return Lock.MINE
