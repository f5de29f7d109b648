"""Archives from strangers: read in place, refused by member with what to do, bounded in memory whatever they claim."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.data import archive_members
from headstart_server.data.archives import Archive, open_archive
from headstart_server.data.images.decode import BadImageError, ImageLimits
from headstart_server.data.images.files import ArchiveFiles

FILES = {"b/two.png": b"two" * 1_000, "a/one.png": b"one", "labels.csv": b"image,label\n"}
LIMITS = ImageLimits()


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def tarred(files: dict[str, bytes], mode: str = "w", **options: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, **options) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def tar_with(member: tarfile.TarInfo, data: bytes = b"") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


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


def opened(folder: Path, data: bytes, kind: str) -> Archive:
    path = folder / f"data.{kind}"
    path.write_bytes(data)
    return open_archive(path, kind.rpartition(".")[2], folder / "cache", "dataset")


def refusal(folder: Path, data: bytes, kind: str) -> str:
    with pytest.raises(InvalidInputError) as caught:
        opened(folder, data, kind)
    assert caught.value.field == "dataset"
    assert str(folder) not in str(caught.value)
    return str(caught.value)


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


def with_directory(data: bytes, change: Callable[[bytearray, int], None]) -> bytes:
    """A zip after a change of its directory's first entry."""
    changed = bytearray(data)
    change(changed, data.index(b"PK\1\2"))
    return bytes(changed)


def claiming(size: int) -> Callable[[bytearray, int], None]:
    def change(data: bytearray, entry: int) -> None:
        data[entry + 24 : entry + 28] = struct.pack("<I", size)

    return change


def test_a_member_larger_than_it_says_is_not_unpacked(tmp_path: Path) -> None:
    bomb = with_directory(zipped({"x.png": bytes(50 << 20)}), claiming(100))
    archive = opened(tmp_path, bomb, "zip")
    tracemalloc.start()
    try:
        with pytest.raises(BadImageError, match="not those that were packed"):
            ArchiveFiles(archive, "").read("x.png", LIMITS)
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()


def test_a_member_smaller_than_it_says_is_refused_when_it_is_read(tmp_path: Path) -> None:
    archive = opened(tmp_path, with_directory(zipped({"x.png": b"12"}), claiming(5_000)), "zip")
    with pytest.raises(BadImageError, match=r"'x\.png' cannot be read"):
        ArchiveFiles(archive, "").read("x.png", LIMITS)


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    def encrypt(data: bytearray, entry: int) -> None:
        data[entry + 8] |= 1

    assert "'x.png' is encrypted" in refusal(tmp_path, with_directory(zipped({"x.png": b"1"}), encrypt), "zip")


@pytest.mark.parametrize(("method", "name"), [(zipfile.ZIP_LZMA, "lzma"), (zipfile.ZIP_BZIP2, "bzip2")])
def test_a_compression_that_is_not_read_is_refused(method: int, name: str, tmp_path: Path) -> None:
    assert f"is packed by '{name}', and only deflate is read" in refusal(
        tmp_path, zipped({"x.png": b"1" * 100}, method), "zip"
    )


def test_members_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    """The better zip bomb (https://www.bamsoftware.com/hacks/zipbomb/): each member alone looks harmless."""
    data = zipped({"x.png": b"1" * 500})
    entry, end = data.index(b"PK\1\2"), data.index(b"PK\5\6")
    twice = data[entry:end] + data[entry:end].replace(b"x.png", b"y.png")
    tail = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 2, 2, len(twice), entry, 0)
    assert "shares its bytes with another" in refusal(tmp_path, data[:entry] + twice + tail, "zip")


def test_a_directory_that_would_fill_the_memory_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_members, "_MAX_DIRECTORY_BYTES", 100_000)
    data = zipped({f"{number}.png": b"" for number in range(3_000)}, zipfile.ZIP_STORED)
    assert "its directory has more than 100000 bytes; send a tar, or split it" in refusal(tmp_path, data, "zip")


def test_a_name_that_is_not_utf8_is_read_as_something(tmp_path: Path) -> None:
    data = tarred({"caf\udce9/x.png": b"1"}, format=tarfile.GNU_FORMAT)
    assert opened(tmp_path, data, "tar").names == ["café/x.png"]


def test_utf8_names_that_a_zip_does_not_announce_are_read(tmp_path: Path) -> None:
    data = zipped({"cafe\u0301/x.png": b"1"})
    silent = data.replace(b"\x00\x08", b"\x00\x00")
    assert data != silent
    archive = opened(tmp_path, silent, "zip")
    assert archive.names == ["café/x.png"]
    for name in ("café/x.png", "cafe\u0301/x.png", "./café//x.png", "café\\x.png"):
        assert ArchiveFiles(archive, "").read(name, LIMITS) == b"1"


def test_the_last_of_several_members_of_one_name_counts(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for data in (b"first", b"last", b"z"):
            member = tarfile.TarInfo("x.png" if data != b"z" else "y.png")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    assert opened(tmp_path, out.getvalue(), "tar").read("x.png") == b"last"


def test_a_zip64_directory_is_read(tmp_path: Path) -> None:
    data = zipped(FILES)
    end = data.index(b"PK\5\6")
    count, size, start = struct.unpack("<HII", data[end + 10 : end + 20])
    record = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, start)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, end, 1)
    tail = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    archive = opened(tmp_path, data[:end] + record + locator + tail, "zip")
    assert {name: archive.read(name) for name in archive.names} == FILES


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


def test_what_upkeep_took_and_what_is_damaged_is_made_again(tmp_path: Path) -> None:
    data = tarred(FILES, "w:gz")
    opened(tmp_path, data, "tgz")
    index, unpacked = sorted((tmp_path / "cache").iterdir(), key=lambda path: path.suffix != ".index")
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
