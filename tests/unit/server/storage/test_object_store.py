"""What is true of every object store: files by name, whole or not at all."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import pytest
from headstart_server.core.errors import InvalidInputError, StorageError, StoreFullError
from headstart_server.storage.object_store import FolderObjectStore, ObjectStore, RemoteObjectStore, object_store_at


def test_what_is_published_is_read_listed_and_fetched(object_store: ObjectStore, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)) * 100)
    object_store.publish(source, "a/b/one.bin")
    object_store.write("a/two.bin", b"two")
    object_store.write("ab/three.bin", b"")
    assert {name: item.size for name, item in object_store.files().items()} == {
        "a/b/one.bin": 25_600,
        "a/two.bin": 3,
        "ab/three.bin": 0,
    }
    assert object_store.files("a").keys() == {"a/b/one.bin", "a/two.bin"}
    assert object_store.files("a/b").keys() == {"a/b/one.bin"}
    assert object_store.files("nowhere") == {}
    assert object_store.read("a/b/one.bin") == source.read_bytes()
    assert object_store.read("a/b/one.bin", 10, 5) == bytes(range(10, 15))
    assert object_store.read("a/b/one.bin", 25_590, 100) == source.read_bytes()[-10:]
    assert object_store.read("a/two.bin", 0, 0) == b""
    assert object_store.read("ab/three.bin", 0, 10) == object_store.read("a/two.bin", 3, 10) == b""
    assert object_store.about("a/two.bin") == object_store.files()["a/two.bin"]
    with pytest.raises(FileNotFoundError):
        object_store.about("a")
    object_store.fetch("a/b/one.bin", tmp_path / "fetched" / "one.bin")
    assert (tmp_path / "fetched" / "one.bin").read_bytes() == source.read_bytes()
    assert [path.name for path in (tmp_path / "fetched").iterdir()] == ["one.bin"]


def test_a_name_is_published_again_in_place_of_what_had_it(object_store: ObjectStore) -> None:
    object_store.write("name", b"first, and longer")
    before = object_store.files()["name"].modified
    object_store.write("name", b"second")
    assert object_store.read("name") == b"second"
    assert object_store.files()["name"].modified >= before > 1_600_000_000


def test_a_file_that_is_not_there_is_missing_for_everything_but_removal(
    object_store: ObjectStore, tmp_path: Path
) -> None:
    object_store.write("other", b"x")
    with pytest.raises(FileNotFoundError):
        object_store.read("name")
    with pytest.raises(FileNotFoundError):
        object_store.fetch("name", tmp_path / "target")
    assert list(tmp_path.glob("target*")) == list(tmp_path.glob(".target*")) == []
    object_store.remove("name", "other", "another")
    assert object_store.files() == {}


def test_an_object_store_below_another_holds_its_part(object_store: ObjectStore) -> None:
    object_store.below("a").below("b").write("name", b"x")
    assert object_store.files().keys() == {"a/b/name"}
    assert object_store.below("a").files().keys() == {"b/name"}
    assert object_store.below("a/b").read("name") == b"x"
    object_store.below("a").remove("b/name")
    assert object_store.files() == {}


def test_a_reader_sees_one_publication_or_another_and_never_a_mixture(object_store: ObjectStore) -> None:
    versions = [bytes([number]) * 300_000 for number in range(8)]
    object_store.write("name", versions[0])
    stop = threading.Event()

    def write() -> None:
        for version in versions * 3:
            object_store.write("name", version)
        stop.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not stop.is_set():
        assert object_store.read("name") in versions
    writer.join()


def test_names_may_hold_what_users_write(object_store: ObjectStore) -> None:
    for name in ("with space/ümläut 😀.csv", "a+b=c&d%20e#f?.bin"):
        object_store.write(name, b"x")
        assert object_store.read(name) == b"x"
        assert name in object_store.files()


def test_a_plain_path_and_a_file_url_are_directories(tmp_path: Path) -> None:
    for url in (str(tmp_path), f"file://{tmp_path}"):
        found = object_store_at(url, "storage_url")
        assert isinstance(found, FolderObjectStore)
        found.write("x", b"y")
        assert (tmp_path / "x").read_bytes() == b"y"


def test_a_url_that_nothing_serves_is_named_with_its_setting() -> None:
    with pytest.raises(InvalidInputError, match="storage_url: 'nothing://x' is no storage that fsspec knows"):
        object_store_at("nothing://x", "storage_url")


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(url: str) -> RemoteObjectStore:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(RemoteObjectStore, "at", missing)
    with pytest.raises(InvalidInputError, match=r"pip install 'headstart\[s3\]'"):
        object_store_at("s3://bucket/x", "storage_url")


def test_a_store_that_refuses_is_an_error_that_names_the_place(bucket: str) -> None:
    object_store = object_store_at("s3://no-such-bucket-anywhere/prefix", "storage_url")
    with pytest.raises(StorageError, match="cannot write no-such-bucket-anywhere/prefix/name in the shared storage"):
        object_store.write("name", b"x")


def test_a_directory_that_fails_is_named_as_shared_storage(tmp_path: Path) -> None:
    (tmp_path / "name").symlink_to("name")
    with pytest.raises(StorageError, match=r"cannot read .*name in the shared storage: OSError: .*Too many levels of"):
        FolderObjectStore(tmp_path).read("name")


def test_a_full_disk_here_is_no_fault_of_the_storages(tmp_path: Path) -> None:
    class FullDisk:
        def get_file(self, *_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StoreFullError, match="no space left on the disk that holds copies"):
        RemoteObjectStore(FullDisk(), "bucket").fetch("name", tmp_path / "copies" / "name")
    assert list((tmp_path / "copies").iterdir()) == []
