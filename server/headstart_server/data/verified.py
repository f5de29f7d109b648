"""Files that were given to the server, compared with the digest they had before anything is read from them."""

from pathlib import Path

from headstart_server.core.digests import file_digest
from headstart_server.core.errors import DataLossError
from headstart_server.storage.folders import SharedFolders


def verified_file(path: Path, sha256: str, owner: str, remedy: str) -> Path:
    """The path, whose bytes have the digest; raises DataLossError naming what the file is of, and what to do."""
    try:
        found = file_digest(path)
    except (FileNotFoundError, IsADirectoryError):
        found = ""
    if found != sha256:
        what = "not what was sent" if found else "gone"
        raise DataLossError(f"{owner} is damaged: its file is {what}; {remedy}", field="dataset")
    return path


def verified_upload(folders: SharedFolders, identifier: str, file: str, sha256: str) -> Path:
    """The file of an uploaded data set; a damaged copy of what lies in shared storage is fetched once more.

    Raises FileNotFoundError where the data set does not exist, DataLossError where it is damaged.
    """
    owner, remedy = f"datasets/{identifier}", "upload the file again, which mends it"
    try:
        return verified_file(folders.path(identifier) / file, sha256, owner, remedy)
    except DataLossError:
        if not folders.forget_copy(identifier):
            raise
    return verified_file(folders.path(identifier) / file, sha256, owner, remedy)
