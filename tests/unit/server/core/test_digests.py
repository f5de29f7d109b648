"""Digests depend on bytes, fingerprints on content, neither on places or order."""

import hashlib
import os
from functools import partial
from pathlib import Path

from headstart_server.core.digests import _DIGESTS, digest_of_used, file_digest, files_digest, fingerprint
from headstart_server.core.files import remove, remove_folder
from hypothesis import given
from hypothesis import strategies as st

VALUES = st.dictionaries(st.text(max_size=5), st.one_of(st.text(max_size=5), st.integers(), st.booleans()), max_size=5)


def test_a_file_digest_is_the_sha256_of_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"some bytes" * 1000)
    assert file_digest(path) == hashlib.sha256(b"some bytes" * 1000).hexdigest()


def test_a_rewritten_file_gets_a_new_digest_even_at_the_same_size(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"aaaa")
    before = file_digest(path)
    path.write_bytes(b"bbbb")
    os.utime(path, ns=(1, 1))
    assert file_digest(path) != before


def test_a_file_that_is_marked_as_used_is_not_read_again(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"aaaa")
    before = digest_of_used(path, partial(os.utime, ns=(1, 1)))
    path.write_bytes(b"bbbb")
    os.utime(path, ns=(1, 1))  # what only who reads it again would notice
    found = {digest_of_used(path, partial(os.utime, ns=(turn, turn))) for turn in range(3)}
    assert found == {before, file_digest(path)} == {hashlib.sha256(b"aaaa").hexdigest()}
    os.utime(path, ns=(7, 7))
    assert digest_of_used(path, lambda used: None) == hashlib.sha256(b"bbbb").hexdigest()


def test_a_digest_of_files_depends_on_names_and_bytes_alone(tmp_path: Path) -> None:
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a").write_bytes(b"1")
        (tmp_path / folder / "b").write_bytes(b"2")
    here, there = ({name: tmp_path / folder / name for name in "ab"} for folder in ("here", "there"))
    assert files_digest(here) == files_digest(dict(reversed(there.items())))
    assert files_digest({"a": here["b"], "b": here["a"]}) != files_digest(here)


def test_the_digests_of_a_removed_folder_are_not_remembered(tmp_path: Path) -> None:
    for name in ("going", "going-not"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(b"1")
        file_digest(tmp_path / name / "file")
    remove_folder(tmp_path / "going")
    assert {path for path in _DIGESTS._known if path.startswith(str(tmp_path))} == {
        str(tmp_path / "going-not" / "file")
    }


def test_the_digest_of_a_removed_file_is_not_remembered(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"1")
    file_digest(tmp_path / "file")
    remove(tmp_path / "file")
    assert str(tmp_path / "file") not in _DIGESTS._known


@given(VALUES)
def test_a_fingerprint_ignores_the_order_of_keys(value: dict[str, object]) -> None:
    assert fingerprint(value) == fingerprint(dict(reversed(value.items())))


@given(VALUES, VALUES)
def test_different_descriptions_have_different_fingerprints(one: dict[str, object], other: dict[str, object]) -> None:
    same = {(key, type(item), item) for key, item in one.items()} == {
        (key, type(item), item) for key, item in other.items()
    }
    assert (fingerprint(one) == fingerprint(other)) == same
