"""The index of an archive: where each member lies, by a hash of its name, in an Arrow file that processes share."""

import os
import unicodedata
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headstart_server.core.errors import InvalidInputError, invalid
from headstart_server.core.files import published_file
from headstart_server.core.reasons import Reason

MAX_RATIO = 200
"""Of a member's size to its packed size, and of all members' to the archive's; above it they are taken for a bomb."""
MAX_MEMBERS = 5_000_000
PLAIN, STORED, DEFLATED = range(3)
"""How a member lies in the file: its bytes alone (tar), or behind a zip's header, as they are or deflated."""
_FREE_BYTES = 1 << 20
"""What a member may expand to, however small."""
_FREE_TOTAL = 256 << 20
_BLOCK = 65_536
_HEADER_BYTES = 30
_HEADER = b"PK\3\4"
_SCHEMA = pa.schema(
    [
        ("digest", pa.uint64()),
        ("name", pa.large_string()),
        ("offset", pa.int64()),
        ("stored", pa.int64()),
        ("size", pa.int64()),
        ("method", pa.int8()),
        ("checksum", pa.int64()),
    ]
)


class Member(NamedTuple):
    """One file in an archive. `offset` is where its bytes begin, or the header of a zip's member."""

    name: str
    offset: int
    stored: int
    size: int
    method: int
    checksum: int


def write_index(index: Path, members: Iterator[Member], archive: Path, field: str) -> None:
    """Publishes the index of an archive; the last of several members of one name counts, as for every unpacker.

    Raises InvalidInputError naming `field` and the member that is refused.
    """
    length = archive.stat().st_size
    batches, waiting = [], []
    for number, member in enumerate(members):
        if number >= MAX_MEMBERS:
            raise invalid(field, f"holds more than {MAX_MEMBERS} files; split it", reason=Reason.TOO_LARGE)
        waiting.append(_checked(member, length, field))
        # Columns of Arrow take far less memory than tuples: no more than a block of these is kept.
        if len(waiting) == _BLOCK:
            batches.append(_batch(waiting))
            waiting = []
    batches.append(_batch(waiting))
    table = pa.Table.from_batches(batches).combine_chunks()
    _check_spans(table, length, field)
    with published_file(index) as temporary, pa.ipc.new_file(str(temporary), _SCHEMA) as writer:
        writer.write_table(_by_digest(table))


def plain_name(name: str) -> str:
    """A member's name in the one form that names are compared in: `/` between folders, no `./`, composed characters."""
    parts = unicodedata.normalize("NFC", name.replace("\\", "/")).split("/")
    # The first part stays where it is empty: an absolute path remains one, which readers refuse.
    return "/".join(part for place, part in enumerate(parts) if part not in ("", ".") or (place == 0 and not part))


def name_digest(name: str) -> int:
    """What a member is found by: 64 bits of BLAKE2b over its name."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")


def data_offset(descriptor: int, header: int) -> int:
    """Where the bytes of a zip's member begin behind its header; raises OSError."""
    found = os.pread(descriptor, _HEADER_BYTES, header)
    if len(found) < _HEADER_BYTES or not found.startswith(_HEADER):
        raise OSError("there is no header where the archive says it is")
    # The lengths of name and extra field are the header's own; the directory's may differ (APPNOTE 4.3.7).
    return header + _HEADER_BYTES + int.from_bytes(found[26:28], "little") + int.from_bytes(found[28:30], "little")


def refused(name: str, why: str, field: str) -> InvalidInputError:
    """The error about a member that makes an archive unsafe."""
    message = f"its member {name[:200]!r} {why}; unpack it, remove that member, and pack the rest again"
    return invalid(field, message, reason=Reason.UNSAFE_ARCHIVE)


def _checked(member: Member, length: int, field: str) -> Member:
    # Packers on Windows may write backslashes and drives (`C:`).
    name = member.name.replace("\\", "/")
    if name.startswith("/") or ".." in name.split("/") or "\0" in name or name.split("/")[0].endswith(":"):
        raise refused(member.name, "would be unpacked outside of its folder", field)
    if member.offset < 0 or member.stored < 0 or member.offset + member.stored > length:
        message = f"is cut off within {member.name[:200]!r}; send it again"
        raise invalid(field, message, reason=Reason.UNREADABLE_DATA)
    if member.size > _FREE_BYTES and member.size > MAX_RATIO * max(1, member.stored):
        raise refused(member.name, f"grows more than {MAX_RATIO} times when it is unpacked", field)
    return member._replace(name=plain_name(name))


def _batch(members: list[Member]) -> pa.RecordBatch:
    columns = list(zip(*members, strict=True)) or [()] * len(Member._fields)
    digests = [name_digest(member.name) for member in members]
    arrays = [pa.array(column, kind) for column, kind in zip([digests, *columns], _SCHEMA.types, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=_SCHEMA)


def _check_spans(table: pa.Table, length: int, field: str) -> None:
    """Members that share bytes, or that are much larger together than the archive, are a bomb of harmless parts."""
    # In Python's integers: the sizes that a directory claims may overflow an int64 together.
    if sum(table.column("size").to_pylist()) > _FREE_TOTAL + MAX_RATIO * length:
        message = f"its members grow more than {MAX_RATIO} times when they are unpacked; send a plain tar"
        raise invalid(field, message, reason=Reason.BOMB)
    offsets, ends = _spans(table)
    order = np.argsort(offsets, kind="stable")
    # Neighbours suffice: a span that reaches into any later one reaches into the next, too.
    shared = np.flatnonzero(ends[order][:-1] > offsets[order][1:])
    if len(shared):
        raise refused(table.column("name")[int(order[shared[0] + 1])].as_py(), "shares its bytes with another", field)


def _spans(table: pa.Table) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    offsets = table.column("offset").to_numpy()
    return offsets, offsets + table.column("stored").to_numpy()


def _by_digest(table: pa.Table) -> pa.Table:
    digests = table.column("digest").to_numpy()
    order = np.argsort(digests, kind="stable")
    # The sort is stable, so that the last of equal digests is the last member of that name.
    last = np.append(np.diff(digests[order]) != 0, True)[: len(order)]
    return table.take(pa.array(order[last])).combine_chunks()
