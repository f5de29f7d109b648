"""Files that can be made again, kept with the digest of their bytes: a damaged one is a miss, never another answer."""

from pathlib import Path

from headstart_server.core.digests import Digests, digest_of_used, file_digest
from headstart_server.core.files import published_file
from headstart_server.core.pruning import mark_used

_KNOWN = Digests(256)
"""Apart from those of what is there to stay: each file that was ever uploaded comes by here, and may never again."""


def seal(path: Path) -> None:
    """Notes the digest of a file that was just published, beside it."""
    # after the file itself: a crash in between leaves one without a digest, which is a miss
    with published_file(_seal(path)) as temporary:
        temporary.write_text(file_digest(path, _KNOWN), encoding="ascii")


def is_sound(path: Path) -> bool:
    """Whether a file is there and is what was sealed; marks it as used."""
    try:
        sound = _seal(path).read_text(encoding="ascii", errors="replace") == file_digest(path, _KNOWN)
        if sound:
            digest_of_used(path, mark_used, _KNOWN)
            # `prune` goes by each file's own time
            mark_used(_seal(path))
    except FileNotFoundError:
        return False
    return sound


def _seal(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")
