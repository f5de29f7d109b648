"""Folders that machines share are there whole or not at all, wherever they were published."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from headstart_server.core.errors import DataLossError, StorageError
from headstart_server.storage import folders as folders_module
from headstart_server.storage.object_store import FolderObjectStore, ObjectStore


class SharedFolders(folders_module.SharedFolders):
    """Folders that look again each time."""

    known_seconds = 0.0


@pytest.fixture(params=["alone", "shared"])
def here(request: pytest.FixtureRequest, tmp_path: Path) -> SharedFolders:
    object_store = FolderObjectStore(tmp_path / "object_store") if request.param == "shared" else None
    return SharedFolders(tmp_path / "here", object_store)


def publish(folders: SharedFolders, name: str, text: str = "x") -> None:
    with folders.publish(name) as folder:
        (folder / "a.txt").write_text(text)
        (folder / "deep" / "er").mkdir(parents=True)
        (folder / "deep" / "er" / "b.bin").write_bytes(b"b" * 1000)


def whole(folder: Path) -> bool:
    return (folder / "a.txt").exists() and (folder / "deep" / "er" / "b.bin").read_bytes() == b"b" * 1000


def test_a_published_folder_is_there_until_it_is_removed(here: SharedFolders) -> None:
    assert (here.names(), "one" in here) == ([], False)
    publish(here, "two")
    publish(here, "one")
    assert here.names() == ["one", "two"]
    assert "one" in here
    assert whole(here.path("one"))
    assert here.read("one", "a.txt") == b"x"
    here.remove("one")
    assert here.names() == ["two"]
    assert "one" not in here
    for gone in (here.path, here.remove, lambda name: here.read(name, "a.txt")):
        with pytest.raises(FileNotFoundError):
            gone("one")
    with pytest.raises(FileNotFoundError):
        here.read("two", "c.txt")


def test_what_fails_while_it_is_written_is_not_published(here: SharedFolders) -> None:
    with pytest.raises(RuntimeError), here.publish("one") as folder:
        (folder / "a.txt").write_text("x")
        raise RuntimeError
    assert here.names() == []
    assert list(here.root.glob("*")) == []


def test_another_machine_fetches_once_and_sees_removals(object_store: ObjectStore, tmp_path: Path) -> None:
    here, there = SharedFolders(tmp_path / "here", object_store), SharedFolders(tmp_path / "there", object_store)
    publish(here, "one")
    assert there.names() == ["one"]
    assert there.read("one", "a.txt") == b"x"
    assert not there.root.exists()
    assert whole(there.path("one"))
    object_store.remove(*object_store.files("files"))
    assert whole(there.path("one"))
    here.remove("one")
    with pytest.raises(FileNotFoundError):
        there.path("one")


def test_an_upload_that_was_cut_short_is_no_folder_and_is_tidied(object_store: ObjectStore, tmp_path: Path) -> None:
    here = SharedFolders(tmp_path / "here", object_store)
    publish(here, "whole")
    object_store.write("files/half/0123456789ab/a.txt", b"x")
    assert here.names() == ["whole"]
    assert "half" not in here
    assert here.tidy(time.time()) == 0
    assert here.tidy(time.time() + 25 * 3600) == 1
    assert not any("half" in name for name in object_store.files())
    assert whole(SharedFolders(tmp_path / "there", object_store).path("whole"))
    publish(here, "half", "now whole")
    assert here.read("half", "a.txt") == b"now whole"


def test_what_others_removed_is_tidied_here(tmp_path: Path) -> None:
    object_store = FolderObjectStore(tmp_path / "object_store")
    here, there = SharedFolders(tmp_path / "here", object_store), SharedFolders(tmp_path / "there", object_store)
    publish(here, "one")
    there.remove("one")
    here.tidy(time.time() + 25 * 3600)
    assert list(here.root.iterdir()) == []


def test_two_machines_may_publish_the_same(object_store: ObjectStore, tmp_path: Path) -> None:
    machines = [SharedFolders(tmp_path / name, object_store) for name in ("here", "there", "third")]
    for machine in machines[:2]:
        publish(machine, "digest")
    assert all(whole(machine.path("digest")) for machine in machines)
    machines[0].tidy(time.time() + 25 * 3600)
    assert len(object_store.files("files")) == 2
    assert whole(SharedFolders(tmp_path / "fourth", object_store).path("digest"))


def test_files_that_are_gone_or_cut_are_named(object_store: ObjectStore, tmp_path: Path) -> None:
    publish(SharedFolders(tmp_path / "here", object_store), "one")
    [name] = [name for name in object_store.files("files") if name.endswith("b.bin")]
    object_store.write(name, b"cut")
    with pytest.raises(DataLossError, match=r"one/deep/er/b.bin .* has not the size"):
        SharedFolders(tmp_path / "there", object_store).path("one")
    object_store.remove(name)
    with pytest.raises(DataLossError, match=r"one/deep/er/b.bin is gone"):
        SharedFolders(tmp_path / "there", object_store).path("one")
    assert not (tmp_path / "there" / "one").exists()


class Refusing(FolderObjectStore):
    """Refuses the second file."""

    def publish(self, source: Path, name: str) -> None:
        if self.files("files"):
            raise StorageError("refused")
        super().publish(source, name)


def test_a_folder_that_cannot_be_uploaded_is_published_nowhere(tmp_path: Path) -> None:
    here = SharedFolders(tmp_path / "here", Refusing(tmp_path / "object_store"))
    with pytest.raises(StorageError):
        publish(here, "one")
    assert here.names() == []
    assert not (tmp_path / "here" / "one").exists()


def test_what_a_machine_had_before_the_object_store_it_keeps(tmp_path: Path) -> None:
    publish(SharedFolders(tmp_path / "here"), "old")
    here = SharedFolders(tmp_path / "here", FolderObjectStore(tmp_path / "object_store"))
    publish(here, "new")
    assert here.names() == ["new", "old"]
    assert here.tidy(time.time() + 25 * 3600) == 0
    assert whole(here.path("old"))
    assert "old" in here
    assert not here.forget_copy("old")
    here.remove("old")
    assert here.names() == ["new"]


def test_a_copy_is_used_while_nobody_can_be_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    object_store = FolderObjectStore(tmp_path / "object_store")
    there, here = SharedFolders(tmp_path / "there", object_store), SharedFolders(tmp_path / "here", object_store)
    for name in ("one", "two"):
        publish(there, name)
    copy, asked = here.path("one"), list[str]()

    def away(name: str, *_: Any) -> bytes:
        asked.append(name)
        raise StorageError("the storage does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(FolderObjectStore, "read", away)
        assert whole(here.path("one"))
        with pytest.raises(StorageError):
            here.path("two")
        patch.setattr(here, "known_seconds", 60.0)
        assert here.path("one") == here.path("one") == copy
        assert len(asked) == 3  # it takes long to hear nothing: not again for a while
    there.remove("one")
    monkeypatch.setattr(here, "_away_until", 0.0)
    monkeypatch.setattr(here, "known_seconds", 0.0)
    with pytest.raises(FileNotFoundError):
        here.path("one")


def test_a_damaged_copy_is_forgotten_and_fetched_again(object_store: ObjectStore, tmp_path: Path) -> None:
    here = SharedFolders(tmp_path / "here", object_store)
    publish(here, "one")
    (here.path("one") / "a.txt").write_text("rotten")
    assert here.forget_copy("one")
    assert here.read("one", "a.txt") == b"x"
    assert whole(here.path("one"))


def test_a_name_that_is_published_again_is_new_for_everybody(object_store: ObjectStore, tmp_path: Path) -> None:
    here, there = SharedFolders(tmp_path / "here", object_store), SharedFolders(tmp_path / "there", object_store)
    publish(here, "epoch-1", "first")
    assert (there.path("epoch-1") / "a.txt").read_text() == "first"
    publish(there, "epoch-1", "second")
    assert [(folders.path("epoch-1") / "a.txt").read_text() for folders in (here, there)] == ["second", "second"]


class Crowd:
    """Threads that publish together; `gone` of them find, all having written, that the others no longer answer."""

    def __init__(self, size: int, gone: int = 0) -> None:
        self._barrier = threading.Barrier(size)
        self._said: dict[int, Any] = {}
        self._gone = gone

    def member(self, rank: int) -> Member:
        return Member(self, rank)

    def together(self, rank: int, value: Any) -> dict[int, Any]:
        self._barrier.wait(10)
        self._said[rank] = value
        self._barrier.wait(10)
        return dict(self._said)

    def lost(self, rank: int) -> bool:
        """Whether `rank` finds the others gone, once all have written: none takes away what another still writes."""
        if self._gone:
            self._barrier.wait(10)
        return rank < self._gone


@dataclass(frozen=True)
class Member:
    crowd: Crowd
    rank: int

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def broadcast_object(self, value: Any) -> Any:
        return self.crowd.together(self.rank, value)[0]

    def all_gather_object(self, value: Any) -> list[Any]:
        if self.crowd.lost(self.rank):
            raise ConnectionError("the others are gone")
        found = self.crowd.together(self.rank, value)
        return [found[rank] for rank in sorted(found)]


def _publish_together(folders: list[SharedFolders], crowd: Crowd) -> list[BaseException | None]:
    def publish(rank: int) -> BaseException | None:
        try:
            with folders[rank].publish_together("epoch-1", crowd.member(rank)) as folder:
                (folder / f"part-{rank}").write_text(str(rank), encoding="ascii")
        except ConnectionError as error:
            return error
        return None

    with ThreadPoolExecutor(len(folders)) as pool:
        return list(pool.map(publish, range(len(folders))))


@pytest.mark.parametrize("shared", [True, False], ids=["directory", "object_store"])
def test_several_publish_one_folder(object_store: ObjectStore, tmp_path: Path, shared: bool) -> None:
    folders = [
        SharedFolders(tmp_path) if shared else SharedFolders(tmp_path / str(rank), object_store) for rank in range(3)
    ]
    assert _publish_together(folders, Crowd(3)) == [None] * 3
    for each in folders:
        assert each.names() == ["epoch-1"]
        found = {path.name: path.read_text() for path in each.path("epoch-1").iterdir()}
        assert found == {f"part-{rank}": str(rank) for rank in range(3)}


@pytest.mark.parametrize("shared", [True, False], ids=["directory", "object_store"])
def test_what_not_all_have_published_is_no_folder(object_store: ObjectStore, tmp_path: Path, shared: bool) -> None:
    folders = [
        SharedFolders(tmp_path) if shared else SharedFolders(tmp_path / str(rank), object_store) for rank in range(2)
    ]
    found = _publish_together(folders, Crowd(2, gone=2))
    assert [type(error) for error in found] == [ConnectionError] * 2
    assert folders[0].names() == folders[1].names() == []
    if not shared:
        assert len(object_store.files("files")) == 2, "what they had uploaded is seen by nobody"
        assert folders[0].tidy(time.time() + 2 * 24 * 3600) == 2


def test_processes_of_one_machine_fetch_a_folder_once(object_store: ObjectStore, tmp_path: Path) -> None:
    publish(SharedFolders(tmp_path / "there", object_store), "a")
    fetched: list[str] = []

    class Counting:
        def __getattr__(self, name: str) -> Any:
            return getattr(object_store, name)

        def fetch(self, name: str, path: Path) -> None:
            fetched.append(name)
            time.sleep(0.05)
            object_store.fetch(name, path)

    same = [SharedFolders(tmp_path / "here", Counting()) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert all(whole(folder) for folder in pool.map(lambda each: each.path("a"), same))
    assert len(fetched) == len(set(fetched))
