"""Archives from outside: read in place, refused by member with what to do, bounded in memory whatever they claim."""

from __future__ import annotations

import io
import pickle
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.data.archives import Archive, open_archive
from headstart_server.data.images.decode import BadImageError, ImageLimits
from headstart_server.data.images.files import ArchiveFiles

from tests.support.archives import FILES, LIMITS, opened, refusal, tar_with, tarred, zipped


def special(kind: bytes, name: str = "x.png", link: str = "") -> bytes:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return tar_with(member)


PACKERS: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "zip": zipped,
    "stored.zip": lambda files: zipped(files, zipfile.ZIP_STORED),
    "tar": tarred,
    "gnu.tar": lambda files: tarred(files, format=tarfile.GNU_FORMAT),
    "tgz": lambda files: tarred(files, "w:gz"),
}


@pytest.mark.parametrize("kind", PACKERS)
def test_members_are_read_in_place_in_any_process(kind: str, tmp_path: Path) -> None:
    archive = opened(tmp_path, PACKERS[kind](FILES), kind)
    assert archive.names == sorted(FILES)
    again: Archive = pickle.loads(pickle.dumps(archive))
    assert {name: again.read(name) for name in FILES} == FILES
    assert {name: archive.size(name) for name in FILES} == {name: len(data) for name, data in FILES.items()}
    assert archive.size("a/none.png") is None
    archive.extract("b/two.png", tmp_path / "two")
    assert (tmp_path / "two").read_bytes() == FILES["b/two.png"]


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("name", ["../x.png", "/etc/x.png", "a/../../x.png", "..\\x.png", "C:\\x.png", "C:/x.png"])
def test_a_name_that_leads_out_is_refused(kind: str, name: str, tmp_path: Path) -> None:
    assert "would be unpacked outside of its folder; unpack it, remove that member" in refusal(
        tmp_path, PACKERS[kind]({"a/one.png": b"1", name: b"2"}), kind
    )


LINKS = {
    "symbolic link": special(tarfile.SYMTYPE, link="/etc/passwd"),
    "hard link": special(tarfile.LNKTYPE, link="../../etc/passwd"),
    "device": special(tarfile.CHRTYPE),
    "block device": special(tarfile.BLKTYPE),
    "FIFO": special(tarfile.FIFOTYPE),
}


@pytest.mark.parametrize("kind", LINKS)
def test_links_and_devices_are_refused(kind: str, tmp_path: Path) -> None:
    assert "'x.png' is a link or a special file" in refusal(tmp_path, LINKS[kind], "tar")


def sparse() -> bytes:
    member = tarfile.TarInfo("x.png")
    member.size = 512
    member.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 40)}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(member, io.BytesIO(b"1\n0\n0\n".ljust(512, b"\0")))
    return out.getvalue()


def endless_sparse() -> bytes:
    """A map of holes that is as long as the archive."""
    numbers = b"0\n" * (1 << 20)
    member = tarfile.TarInfo("x.png")
    member.size = len(numbers) + 512
    member.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(member, io.BytesIO((b"99999999\n" + numbers).ljust(member.size, b"\0")))
    return out.getvalue()


def negative_size() -> bytes:
    """A member that says that the next one lies before it (CVE-2025-8194): an unpacker goes round and round."""
    data = bytearray(tarred({"a.png": b"1", "b.png": b"2"}, format=tarfile.GNU_FORMAT))
    header = 1_024
    data[header + 124 : header + 136] = b"\xff" * 10 + b"\xfc\x00"
    data[header + 148 : header + 156] = b" " * 8
    data[header + 148 : header + 156] = b"%06o\0 " % sum(data[header : header + 512])
    return bytes(data)


def test_a_file_with_holes_is_refused(tmp_path: Path) -> None:
    assert "'x.png' is a link or a special file" in refusal(tmp_path, sparse(), "tar")


def test_an_endless_header_is_not_read_to_its_end(tmp_path: Path) -> None:
    data = tarred({"x" * (1 << 20): b"1"}, format=tarfile.PAX_FORMAT)
    tracemalloc.start()
    try:
        for archive in (data, endless_sparse()):
            assert "the headers of one member take more than 131072 bytes" in refusal(tmp_path, archive, "tar")
        assert tracemalloc.get_traced_memory()[1] < 80 << 20
    finally:
        tracemalloc.stop()


def test_a_member_of_negative_size_ends_the_reading(tmp_path: Path) -> None:
    refusal(tmp_path, negative_size(), "tar")


@pytest.mark.parametrize("kind", ["zip", "tar", "tgz"])
def test_an_archive_cut_anywhere_is_refused_or_whole(kind: str, tmp_path: Path) -> None:
    whole = PACKERS[kind](FILES)
    for cut in range(0, len(whole), 97):
        path = tmp_path / f"{cut}.{kind}"
        path.write_bytes(whole[:cut])
        try:
            archive = open_archive(path, kind, tmp_path / "cache", "dataset")
        except InvalidInputError as error:
            assert "archive" in str(error) or "cut off" in str(error)
        else:
            assert {name: archive.read(name) for name in archive.names} == FILES


def test_damage_within_a_tar_is_not_taken_for_its_end(tmp_path: Path) -> None:
    data = bytearray(tarred(FILES, format=tarfile.GNU_FORMAT))
    second = 512 + 3_072
    data[second : second + 100] = b"\xff" * 100
    assert f"is cut off or damaged at byte {second}" in refusal(tmp_path, bytes(data), "tar")


@pytest.mark.parametrize("kind", ["zip", "tar", "tgz"])
@pytest.mark.parametrize("data", [b"", b"review,label\ngood,1\n", b"PK\3\4" + bytes(100), b"\x1f\x8b" + bytes(50)])
def test_what_is_no_archive_is_refused(kind: str, data: bytes, tmp_path: Path) -> None:
    assert f"is no readable {kind} archive" in refusal(tmp_path, data, kind)


def test_a_member_that_grows_too_far_is_refused(tmp_path: Path) -> None:
    assert "grows more than 200 times" in refusal(tmp_path, zipped({"x.png": bytes(8 << 20)}), "zip")


def test_a_gzipped_tar_that_grows_too_far_leaves_nothing(tmp_path: Path) -> None:
    assert "grows more than 200 times" in refusal(tmp_path, tarred({"x.png": bytes(16 << 20)}, "w:gz"), "tgz")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_name_that_is_not_utf8_is_read_as_something(tmp_path: Path) -> None:
    data = tarred({"caf\udce9/x.png": b"1"}, format=tarfile.GNU_FORMAT)
    assert opened(tmp_path, data, "tar").names == ["café/x.png"]


def test_the_last_of_several_members_of_one_name_counts(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for data in (b"first", b"last", b"z"):
            member = tarfile.TarInfo("x.png" if data != b"z" else "y.png")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    assert opened(tmp_path, out.getvalue(), "tar").read("x.png") == b"last"


def test_members_are_not_collected_while_a_tar_is_indexed(tmp_path: Path) -> None:
    (tmp_path / "many.tar").write_bytes(tarred({f"a/{number}.png": b"" for number in range(5_000)}))
    tracemalloc.start()
    try:
        archive = open_archive(tmp_path / "many.tar", "tar", tmp_path / "cache", "dataset")
        assert tracemalloc.get_traced_memory()[1] < 6 << 20
    finally:
        tracemalloc.stop()
    assert archive.size("a/4999.png") == 0


def test_an_archive_in_an_archive_stays_closed(tmp_path: Path) -> None:
    archive = opened(tmp_path, zipped({"inner.zip": zipped(FILES)}), "zip")
    assert archive.names == ["inner.zip"]


def test_what_retention_took_and_what_is_damaged_is_made_again(tmp_path: Path) -> None:
    data = tarred(FILES, "w:gz")
    opened(tmp_path, data, "tgz")
    index, unpacked = (next((tmp_path / "cache").glob(f"*.{ending}")) for ending in ("index", "tar"))
    for damage in (index.unlink, unpacked.unlink, lambda: index.write_bytes(b"ARROW1")):
        damage()
        archive = opened(tmp_path, data, "tgz")
        assert {name: archive.read(name) for name in FILES} == FILES


@pytest.mark.parametrize("name", ["../x.png", "/x.png", "a/../../x.png", "..\\x.png"])
def test_a_cell_that_leads_out_of_the_archive_is_refused(name: str, tmp_path: Path) -> None:
    files = ArchiveFiles(opened(tmp_path, zipped(FILES), "zip"), "")
    with pytest.raises(BadImageError, match="leaves the archive; give one below its table's folder"):
        files.read(name, LIMITS)


def test_a_cell_is_looked_for_beside_its_table_first(tmp_path: Path) -> None:
    archive = opened(tmp_path, zipped({"x.png": b"top", "deep/x.png": b"beside", "y.png": b"only"}), "zip")
    files = ArchiveFiles(archive, "deep")
    assert [files.read(name, LIMITS) for name in ("x.png", "y.png")] == [b"beside", b"only"]
    with pytest.raises(BadImageError, match=r"'z\.png' is not in the archive; add it, or correct the cell"):
        files.read("z.png", LIMITS)
    with pytest.raises(BadImageError, match="max_image_bytes"):
        files.read("x.png", ImageLimits(max_bytes=2))


def test_members_of_a_zip_are_checked_against_their_checksum(tmp_path: Path) -> None:
    data = bytearray(zipped(FILES, zipfile.ZIP_STORED))
    data[data.index(b"twotwo")] ^= 1
    archive = opened(tmp_path, bytes(data), "zip")
    with pytest.raises(OSError, match="not those that were packed"):
        archive.read("b/two.png")
    assert zlib.crc32(archive.read("a/one.png")) == zlib.crc32(b"one")


def test_no_file_stays_open(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        opened(tmp_path, zipped(FILES), "zip").read("a/one.png")
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2
