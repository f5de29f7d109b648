"""The bytes of image files that travel in messages."""

from __future__ import annotations

from pathlib import Path

from headstart.errors import InvalidArgument

MOST = (64 << 20) - (64 << 10)
"""What one image may take of a message."""


def sendable(path: Path) -> Path:
    """Return a path that leads to a file which fits a message.

    Raises:
        InvalidArgument: it does not, with what is wrong.
    """
    try:
        size = path.stat().st_size if path.is_file() else -1
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InvalidArgument(f"{str(path)[:200]!r} is no file's name ({reason})", reason="MISSING_FILE") from None
    if size < 0:
        what = "is a folder" if path.is_dir() else "does not exist"
        raise InvalidArgument(f"the file {str(path)[:200]!r} {what}", reason="MISSING_FILE")
    if size > MOST:
        message = f"the file {str(path)[:200]!r} has {size:,} bytes, more than fit a message; save the image smaller"
        raise InvalidArgument(message, reason="TOO_LARGE")
    return path


def image_bytes(path: Path) -> bytes:
    """Return the bytes of an image file that is to be sent.

    Raises:
        InvalidArgument: it does not exist, is too large, or cannot be read.
    """
    try:
        return sendable(path).read_bytes()
    except OSError as error:
        raise InvalidArgument(f"the file {str(path)[:200]!r} cannot be read: {error.strerror}") from None
