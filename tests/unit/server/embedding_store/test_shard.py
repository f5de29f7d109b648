"""A shard reads back what was written; whatever happens to its bytes, it never reads back anything else."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from headstart_server.core.errors import StoreFullError
from headstart_server.embedding_store import shard as shard_module
from headstart_server.embedding_store.inventory import verify
from headstart_server.embedding_store.shard import CorruptShardError, Shard, write_shard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from tests.support.stores import embedding_of, keys_of


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_module, "BLOCK_BYTES", 96)


def _written(path: Path, rows: int = 10, dtype: str = "float32") -> tuple[np.ndarray, np.ndarray]:
    keys = keys_of([f"row {number}" for number in range(rows)])
    embeddings = embedding_of(keys).astype(dtype)
    write_shard(path, "space", keys, embeddings)
    return keys, embeddings


def _read(path: Path) -> tuple[np.ndarray, list[np.ndarray | None]]:
    shard = Shard.open(path)
    return shard.keys(), [shard.block(index) for index in range(len(shard.checksums))]


@pytest.mark.usefixtures("small_blocks")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 30), st.integers(1, 20), st.sampled_from(["float16", "float32"]), st.integers(0, 2**32))
def test_a_shard_reads_back_what_was_written(tmp_path: Path, rows: int, width: int, dtype: str, seed: int) -> None:
    generator = np.random.default_rng(seed)
    keys = generator.integers(0, 2**64, (rows, 2), np.uint64)
    embeddings = generator.standard_normal((rows, width)).astype(dtype)
    write_shard(tmp_path / "shard.safetensors", "space", keys, embeddings)
    read, blocks = _read(tmp_path / "shard.safetensors")
    assert (read == keys).all()
    assert np.array_equal(np.concatenate([np.empty((0, width), dtype), *blocks]), embeddings)


def test_a_shard_is_plain_safetensors(tmp_path: Path) -> None:
    keys, embeddings = _written(tmp_path / "s.safetensors")
    tensors = load_file(tmp_path / "s.safetensors")
    assert np.array_equal(tensors["embeddings"], embeddings)
    assert np.array_equal(tensors["keys"].reshape(-1).view(np.uint64).reshape(-1, 2), keys)


def _same_or_reported(path: Path, keys: np.ndarray, embeddings: np.ndarray) -> bool:
    """Whether damage was reported; fails if something else than what was written was read."""
    try:
        read, blocks = _read(path)
    except CorruptShardError:
        return True
    whole = [block for block in blocks if block is not None]
    if len(whole) < len(blocks):
        return True
    assert np.array_equal(read, keys)
    assert np.array_equal(np.concatenate(whole), embeddings)
    return False


@pytest.mark.usefixtures("small_blocks")
def test_no_flipped_bit_goes_unnoticed(tmp_path: Path) -> None:
    path = tmp_path / "s.safetensors"
    keys, embeddings = _written(path)
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    for place in range(len(whole)):
        for bit in (1, 32, 128) if place < header else (1 << place % 8,):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
            reported = _same_or_reported(path, keys, embeddings)
            assert reported or place < header, f"byte {place} of the tensors"


@pytest.mark.usefixtures("small_blocks")
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**6), st.integers(1, 255))
def test_no_flipped_byte_goes_unnoticed(tmp_path: Path, place: int, change: int) -> None:
    path = tmp_path / "s.safetensors"
    keys, embeddings = _written(path, rows=100, dtype="float16")
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= change
    path.write_bytes(data)
    _same_or_reported(path, keys, embeddings)


@pytest.mark.parametrize("kept", [0, 1, 7, 8, 100, -1, -17])
def test_a_truncated_shard_is_corrupt(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "s.safetensors"
    _written(path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CorruptShardError):
        Shard.open(path)


def test_a_longer_file_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "s.safetensors"
    _written(path)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(CorruptShardError):
        Shard.open(path)


def _with_header(path: Path, change: dict[str, object]) -> None:
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    for name, value in change.items():
        section, _, key = name.partition(".")
        if key:
            header[section][key] = value
        else:
            header[section] = value
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])


@pytest.mark.parametrize(
    "change",
    [
        {"__metadata__.format": "headstart-shard-2"},
        {"__metadata__": None},
        {"__metadata__": []},
        {"__metadata__.block_rows": "0"},
        {"__metadata__.block_rows": "-1"},
        {"__metadata__.block_crc32": ""},
        {"__metadata__.block_crc32": None},
        {"__metadata__.keys_crc32": "zz"},
        {"embeddings.shape": [10]},
        {"embeddings.shape": [10.0, 8.0]},
        {"embeddings.shape": [10, 9]},
        {"embeddings.shape": [-10, -8]},
        {"embeddings.shape": [True, 8]},
        {"embeddings.dtype": "F64"},
        {"embeddings.dtype": ["F32"]},
        {"embeddings.data_offsets": [0, 10**18]},
        {"embeddings.data_offsets": [-8, 312]},
        {"keys.data_offsets": ["a", "b"]},
        {"keys": "x"},
    ],
)
def test_a_header_that_does_not_fit_is_corrupt(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "s.safetensors"
    _written(path)
    _with_header(path, change)
    with pytest.raises(CorruptShardError):
        shard = Shard.open(path)
        shard.keys()


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 100, b"\xff" * 100, b"PK\x03\x04" * 50, (2).to_bytes(8, "little") + b"[]"]
)
def test_any_other_file_is_corrupt(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "s.safetensors").write_bytes(data)
    with pytest.raises(CorruptShardError):
        Shard.open(tmp_path / "s.safetensors")


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Shard.open(tmp_path / "s.safetensors")


def test_an_open_shard_can_be_read_after_its_file_is_gone(tmp_path: Path) -> None:
    keys, _ = _written(tmp_path / "s.safetensors")
    shard = Shard.open(tmp_path / "s.safetensors")
    (tmp_path / "s.safetensors").unlink()
    assert (shard.keys() == keys).all()


def test_a_full_disk_publishes_nothing_and_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(shard_module, "save_file", full)
    with pytest.raises(StoreFullError):
        _written(tmp_path / "folder" / "s.safetensors")
    assert list((tmp_path / "folder").iterdir()) == []


@pytest.mark.usefixtures("small_blocks")
def test_verify_names_corrupt_blocks_and_broken_files(tmp_path: Path) -> None:
    folder = tmp_path / "space" / "shards"
    for name in ("a", "b", "c", "d"):
        _written(folder / f"{name}.safetensors")
    damaged = folder / "b.safetensors"
    shard = Shard.open(damaged)
    data = bytearray(damaged.read_bytes())
    data[shard.embeddings_start + 5] ^= 1
    data[shard.embeddings_start + 200] ^= 1
    damaged.write_bytes(data)
    (folder / "c.safetensors").write_bytes(b"nothing")
    keys = bytearray((folder / "d.safetensors").read_bytes())
    keys[shard.keys_start] ^= 1
    (folder / "d.safetensors").write_bytes(keys)
    shutil.copy(folder / "a.safetensors", folder / ".hidden.safetensors")
    a, b, c, d = verify(tmp_path)
    assert (a.rows, a.corrupt_blocks, a.problem) == (10, 0, "")
    assert (b.rows, b.corrupt_blocks, b.problem) == (10, 2, "")
    assert (c.rows, bool(c.problem)) == (0, True)
    assert (d.rows, d.corrupt_blocks, bool(d.problem)) == (10, 0, True)
