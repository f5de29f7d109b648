"""Files appear whole or not at all, and paths stay below their root."""

import errno
import json
import shutil
from pathlib import Path

import pytest
from headstart_server.core import files
from headstart_server.core.errors import InvalidInputError, StoreFullError
from headstart_server.core.files import (
    disk_full_named,
    folder_size,
    published_file,
    published_folder,
    read_json,
    remove_folder,
    resolve_below,
    write_json,
)
from hypothesis import given
from hypothesis import strategies as st


class _RustError(Exception):
    """As safetensors raises: no errno, the number in the message."""


def test_a_file_is_not_visible_before_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    with published_file(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        temporary.write_text("whole")
        inode = temporary.stat().st_ino
    assert path.read_text() == "whole"
    assert path.stat().st_ino == inode  # renamed, not copied: nobody ever reads half of it
    assert [item.name for item in path.parent.iterdir()] == ["file"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="halfway"), published_file(path) as temporary:
        temporary.write_text("new")
        raise RuntimeError("halfway")
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


def test_a_failed_folder_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="halfway"), published_folder(tmp_path / "folder") as temporary:
        (temporary / "file").write_text("x")
        raise RuntimeError("halfway")
    assert list(tmp_path.iterdir()) == []


def test_a_published_folder_is_never_replaced(tmp_path: Path) -> None:
    for text in ("first", "second"):
        with published_folder(tmp_path / "folder") as temporary:
            (temporary / "file").write_text(text)
    assert (tmp_path / "folder" / "file").read_text() == "first"
    assert [item.name for item in tmp_path.iterdir()] == ["folder"]


def test_a_full_disk_is_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(StoreFullError, match="no space left"), published_file(tmp_path / "file") as temporary:
        temporary.symlink_to("/dev/full")
        temporary.write_bytes(b"x" * (1 << 20))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named_where_a_rust_library_met_it(tmp_path: Path) -> None:
    message = f"Error while serializing: I/O error: No space left on device (os error {errno.ENOSPC})"
    with pytest.raises(StoreFullError), disk_full_named(tmp_path):
        raise _RustError(message)
    with pytest.raises(_RustError), disk_full_named(tmp_path):
        raise _RustError("I/O error: permission denied (os error 13)")


def test_other_system_errors_are_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), disk_full_named(tmp_path):
        raise PermissionError(errno.EACCES, "no")


def test_json_goes_and_comes_back(tmp_path: Path) -> None:
    value = {"b": [1, 2.5, None], "a": "ü"}
    write_json(tmp_path / "deep" / "file.json", value)
    assert read_json(tmp_path / "deep" / "file.json") == value
    assert json.loads((tmp_path / "deep" / "file.json").read_text(encoding="utf-8")) == value


def test_the_size_of_a_folder_is_that_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"123")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b").write_bytes(b"4567")
    assert folder_size(tmp_path) == 7


SEGMENTS = st.lists(st.sampled_from(["..", ".", "a", "b", "link", "", "/", "\0", "~", "x" * 300, "é"]), max_size=6)


@given(SEGMENTS)
def test_no_path_leaves_its_root(tmp_path_factory: pytest.TempPathFactory, segments: list[str]) -> None:
    outside = tmp_path_factory.mktemp("outside")
    root = outside / "root"
    (root / "a").mkdir(parents=True)
    (root / "link").symlink_to(outside)
    try:
        found = resolve_below(root, "/".join(segments), "field")
    except InvalidInputError as error:
        assert error.violations[0].field == "field"
    else:
        assert found.is_relative_to(root.resolve())
        assert not found.is_file()  # a name that no file system takes would raise here


@pytest.mark.parametrize("path", ["", "..", "../x", "a/../../x", "/etc/passwd", "out", "out/secret", "loop", "a\0b"])
def test_paths_out_of_the_root_are_refused(tmp_path: Path, path: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret").write_text("x")
    (root / "out").symlink_to(tmp_path)
    (root / "loop").symlink_to(root / "loop")
    if path == "loop":
        with pytest.raises(InvalidInputError):
            resolve_below(root, path, "f")
        return
    with pytest.raises(InvalidInputError) as caught:
        resolve_below(root, path, "f")
    assert caught.value.reason == "PATH_OUTSIDE_ROOT"


def test_a_link_that_stays_below_the_root_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert resolve_below(tmp_path, "link/file", "f") == (tmp_path / "real" / "file").resolve()


def test_a_folder_leaves_its_name_before_any_of_its_files_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").write_text("x")
    removed = []

    def rmtree(path: Path) -> None:
        assert not folder.exists()
        assert (path / "weights").read_text() == "x"
        assert path.name.startswith(".") and path.name.endswith(files.TEMPORARY)
        removed.append(path)

    monkeypatch.setattr(shutil, "rmtree", rmtree)
    remove_folder(folder)
    assert len(removed) == 1
    with pytest.raises(FileNotFoundError):
        remove_folder(folder)
