"""What `make freeze` writes of the contract holds no paths, and `buf breaking` finds with it what is taken away."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

PROTOS = Path(__file__).parents[2] / "protos"


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The contract as it is, frozen as the Makefile does."""
    image = tmp_path_factory.mktemp("frozen") / "headstart.binpb"
    buf("build", str(PROTOS), "--exclude-source-info", "--output", str(image))
    return image


def buf(*arguments: str) -> None:
    program = Path(sys.executable).parent / "buf"
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(done.stdout + done.stderr)


def test_it_names_files_as_imports_do_and_holds_no_comment(frozen: Path) -> None:
    files = FileDescriptorSet.FromString(frozen.read_bytes()).file
    assert {file.name.split("/")[0] for file in files} == {"google", "headstart", "inference"}
    assert not any(file.HasField("source_code_info") for file in files)


def test_the_contract_as_it_is_breaks_nothing(frozen: Path) -> None:
    buf("breaking", str(PROTOS), "--against", str(frozen))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("int64 after_sequence = 2;", "int32 after_sequence = 2;"),
        ("rpc GetTrainJob(GetTrainJobRequest) returns (.headstart.v1.TrainJob);", ""),
        ("STATE_PAUSED = 6;", "STATE_RESTING = 6;"),
    ],
)
def test_what_callers_rely_on_cannot_change(frozen: Path, tmp_path: Path, old: str, new: str) -> None:
    changed = tmp_path / "protos"
    shutil.copytree(PROTOS, changed)
    training = changed / "headstart" / "v1" / "training.proto"
    text = training.read_text()
    assert old in text
    training.write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=r"training\.proto"):
        buf("breaking", str(changed), "--against", str(frozen))
