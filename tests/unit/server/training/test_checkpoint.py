"""Checkpoints: the latest sound one is read, a damaged one never."""

import errno
import json
import shutil
from pathlib import Path
from traceback import StackSummary

import pytest
import torch
from headstart_server.core.digests import fingerprint
from headstart_server.core.errors import StoreFullError
from headstart_server.storage import tensor_files
from headstart_server.storage.folders import SharedFolders
from headstart_server.storage.object_store import ObjectStore
from headstart_server.storage.tensor_files import read_into
from headstart_server.training import checkpoint as checkpoint_module
from headstart_server.training.checkpoint import (
    CheckpointState,
    Progress,
    RunningState,
    load_checkpoint,
    save_checkpoint,
)
from headstart_server.training.reports import EpochReport
from torch.distributed.checkpoint.api import CheckpointException

REPORT = EpochReport(epoch=2, step=10, train={"loss": 0.5}, validation={"loss": float("nan"), "a": 0.1}, best=True)


def _running(*, moved: bool = False) -> RunningState:
    torch.manual_seed(1)
    parameter = torch.nn.Parameter(torch.ones(3, 2))
    optimizer = torch.optim.AdamW([parameter], lr=0.1)
    if moved:
        torch.autograd.backward(parameter.sum())
        optimizer.step()
    return RunningState(optimizer, torch.amp.GradScaler("cpu", enabled=True, init_scale=8.0))


def _save(root: Path, epoch: int = 2, model: dict[str, torch.Tensor] | None = None) -> None:
    model = model or {"a": torch.arange(6.0), "b": torch.ones((), dtype=torch.int64)}
    kept = CheckpointState(model, {"a": torch.zeros(6)}, *_running(moved=True).save())
    save_checkpoint(SharedFolders(root), Progress(epoch, 10, REPORT, 1), kept)


def _empty(_: str, shape: torch.Size, dtype: torch.dtype) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype)


def test_a_run_goes_on_with_its_own_checkpoints_alone(tmp_path: Path) -> None:
    """Another trial of a sweep may have the same layers, and would take their weights for its own."""
    folders, state = SharedFolders(tmp_path), CheckpointState({}, {}, *_running(moved=True).save())
    save_checkpoint(folders, Progress(5, 50, REPORT, 0), state, run="one spec")
    assert load_checkpoint(folders, "another spec") is None
    save_checkpoint(folders, Progress(1, 10, REPORT, 0), state, run="another spec")
    assert folders.names() == ["epoch-1"]
    found = load_checkpoint(folders, "another spec")
    assert found is not None and found.progress.epoch == 1


def test_a_checkpoint_reads_back_what_was_saved(tmp_path: Path) -> None:
    _save(tmp_path)
    found = load_checkpoint(SharedFolders(tmp_path))
    assert found is not None and found.progress.best is not None
    assert (found.progress.epoch, found.progress.step, found.progress.epochs_without_improvement) == (2, 10, 1)
    assert found.progress.best.train == REPORT.train
    assert found.progress.best.validation["loss"] != found.progress.best.validation["loss"]
    model = found.read("model", _empty)
    assert torch.equal(model["a"], torch.arange(6.0)) and model["b"].item() == 1
    assert torch.equal(found.read("best", _empty)["a"], torch.zeros(6))


def test_optimizer_scaler_and_random_numbers_go_on(tmp_path: Path) -> None:
    running = _running(moved=True)
    running.scaler.load_state_dict({**running.scaler.state_dict(), "scale": 32.0, "_growth_tracker": 7})
    torch.manual_seed(77)
    save_checkpoint(SharedFolders(tmp_path), Progress(1, 1, None, 0), CheckpointState({}, {}, *running.save()))
    expected = torch.rand(3)
    found, fresh = load_checkpoint(SharedFolders(tmp_path)), _running()
    assert found is not None
    fresh.load(found.read("running", fresh.allocate), found.values)
    assert torch.equal(torch.rand(3), expected)
    assert fresh.scaler.state_dict()["scale"] == 32.0
    one, other = running.optimizer.state_dict()["state"][0], fresh.optimizer.state_dict()["state"][0]
    assert set(one) == set(other)
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_only_the_last_checkpoint_is_kept(tmp_path: Path) -> None:
    for epoch in (1, 2, 10):
        _save(tmp_path, epoch)
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-10"]


def test_the_latest_is_read_by_number(tmp_path: Path) -> None:
    _save(tmp_path, 9)
    shutil.copytree(tmp_path / "epoch-9", tmp_path / "keep")
    _save(tmp_path, 10)
    (tmp_path / "keep").rename(tmp_path / "epoch-9")
    found = load_checkpoint(SharedFolders(tmp_path))
    assert found is not None and found.progress.epoch == 10


def test_tied_weights_can_be_saved(tmp_path: Path) -> None:
    shared = torch.arange(4.0)
    _save(tmp_path, model={"one": shared, "two": shared, "part": shared[:2]})
    found = load_checkpoint(SharedFolders(tmp_path))
    assert found is not None
    model = found.read("model", _empty)
    assert torch.equal(model["one"], shared) and torch.equal(model["two"], shared)
    assert torch.equal(model["part"], shared[:2])


def test_nothing_is_read_where_nothing_was_saved(tmp_path: Path) -> None:
    assert load_checkpoint(SharedFolders(tmp_path)) is None
    assert load_checkpoint(SharedFolders(tmp_path / "nowhere")) is None


@pytest.mark.parametrize("file", ["state.safetensors", "progress.json"])
@pytest.mark.parametrize("damage", ["gone", "truncated", "flipped", "empty"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path: Path, file: str, damage: str) -> None:
    _save(tmp_path, 1)
    (tmp_path / "epoch-1").rename(tmp_path / "kept")
    _save(tmp_path, 2)
    (tmp_path / "kept").rename(tmp_path / "epoch-1")
    path = tmp_path / "epoch-2" / file
    data = bytearray(path.read_bytes())
    if damage == "gone":
        path.unlink()
    elif damage == "flipped":
        data[-3] ^= 1
        path.write_bytes(data)
    else:
        path.write_bytes(data[: len(data) // 2] if damage == "truncated" else b"")
    found = load_checkpoint(SharedFolders(tmp_path))
    assert found is not None and found.progress.epoch == 1
    shutil.rmtree(tmp_path / "epoch-1")
    assert load_checkpoint(SharedFolders(tmp_path)) is None


def test_a_changed_number_in_the_progress_is_noticed(tmp_path: Path) -> None:
    _save(tmp_path)
    path = tmp_path / "epoch-2" / "progress.json"
    described = json.loads(path.read_text())
    described["content"]["progress"]["step"] = 11
    path.write_text(json.dumps(described))
    assert load_checkpoint(SharedFolders(tmp_path)) is None


def test_a_damaged_checkpoint_is_replaced_when_its_epoch_is_reached_again(tmp_path: Path) -> None:
    _save(tmp_path, 2)
    (tmp_path / "epoch-2" / "state.safetensors").write_bytes(b"")
    _save(tmp_path, 2)
    assert load_checkpoint(SharedFolders(tmp_path)) is not None


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _save(tmp_path, 1)

    def full(*_: object) -> None:
        raise RuntimeError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(checkpoint_module, "save_file", full)
    with pytest.raises(StoreFullError):
        _save(tmp_path, 2)
    found = load_checkpoint(SharedFolders(tmp_path))
    assert found is not None and found.progress.epoch == 1
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-1"]


def test_another_machine_goes_on_from_a_checkpoint_in_the_shared_storage(
    tmp_path: Path, object_store: ObjectStore
) -> None:
    here, there = (SharedFolders(tmp_path / name, object_store) for name in ("here", "there"))
    for epoch in (1, 2):
        running = _running(moved=True)
        save_checkpoint(
            here, Progress(epoch, 10, REPORT, 1), CheckpointState({"a": torch.arange(6.0)}, {}, *running.save())
        )
    found = load_checkpoint(there)
    assert found is not None
    assert (found.progress.epoch, found.progress.step) == (2, 10)
    assert torch.equal(found.read("model", _empty)["a"], torch.arange(6.0))
    fresh = _running()
    fresh.load(found.read("running", fresh.allocate), found.values)
    assert here.names() == there.names() == ["epoch-2"]


def test_a_checkpoint_whose_upload_was_cut_short_is_passed_over(tmp_path: Path, object_store: ObjectStore) -> None:
    here = SharedFolders(tmp_path / "here", object_store)
    save_checkpoint(
        here, Progress(1, 5, None, 0), CheckpointState({"a": torch.zeros(3)}, {}, *_running(moved=True).save())
    )
    object_store.write("files/epoch-2/0123456789ab/state.safetensors", b"half of it")
    [name] = [name for name in object_store.files() if name.startswith("names/")]
    object_store.write("names/epoch-3.json", object_store.read(name))  # names files of another folder
    found = load_checkpoint(SharedFolders(tmp_path / "there", object_store))
    assert found is not None
    assert found.progress.epoch == 1


def test_a_failed_read_raises_what_was_behind_it(tmp_path: Path) -> None:
    _save(tmp_path)
    found = load_checkpoint(SharedFolders(tmp_path))
    assert found is not None
    with pytest.raises(RuntimeError, match="nowhere"):
        read_into({"nowhere": torch.zeros(2)}, _saved_folder(tmp_path / "other"))


def _saved_folder(root: Path) -> Path:
    _save(root)
    found = load_checkpoint(SharedFolders(root))
    assert found is not None
    return found.folder


def test_a_full_disk_is_named_where_processes_write_their_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise CheckpointException("save", {0: (OSError(errno.ENOSPC, "No space left on device"), StackSummary())})

    monkeypatch.setattr(tensor_files, "save", full)
    kept = CheckpointState({"a": torch.zeros(2)}, {}, *_running(moved=True).save())
    with pytest.raises(StoreFullError):
        save_checkpoint(SharedFolders(tmp_path), Progress(1, 1, None, 0), kept, in_parts=True)
    assert load_checkpoint(SharedFolders(tmp_path)) is None


def test_a_checkpoint_of_before_evaluations_were_counted_reads_as_one_per_epoch(tmp_path: Path) -> None:
    _save(tmp_path)
    path = tmp_path / "epoch-2" / "progress.json"
    content = json.loads(path.read_text())["content"]
    for key in ("evaluation", "into", "steps_per_epoch", "plateau"):
        del content["progress"][key]
    for key in ("evaluation", "epochs"):
        del content["progress"]["best"][key]
    path.write_text(json.dumps({"content": content, "digest": fingerprint(content)}))
    found = load_checkpoint(SharedFolders(tmp_path))
    assert found is not None and found.progress.best is not None
    assert (found.progress.epoch, found.progress.into, found.progress.best.evaluation) == (2, 0, 0)


def test_the_checkpoint_that_is_furthest_is_read(tmp_path: Path) -> None:
    for progress in (Progress(1, 8, None, 0), Progress(1, 11, None, 0, into=3), Progress(1, 18, None, 0, into=10)):
        folder = tmp_path / progress.name
        save_checkpoint(
            SharedFolders(tmp_path / "one"), progress, CheckpointState({}, {}, *_running(moved=True).save())
        )
        shutil.copytree(tmp_path / "one" / progress.name, folder)
    shutil.rmtree(tmp_path / "one")
    found = load_checkpoint(SharedFolders(tmp_path))
    assert found is not None and (found.progress.into, found.progress.name) == (10, "epoch-1.10")
