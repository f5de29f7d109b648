"""The contract keeps Google's API improvement proposals, but for exceptions that `aip.yaml` justifies."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.languages.toolchains import HERE, PROTOS, contract_files, go_tools

CONFIG = HERE / "aip.yaml"


@pytest.fixture(scope="module")
def linter() -> Path:
    return go_tools() / "api-linter"


def problems(linter: Path, *flags: str) -> set[tuple[str, str, str]]:
    """(file, rule, message) of each problem."""
    command = [str(linter), "--output-format", "json", *flags, *contract_files()]
    done = subprocess.run(command, cwd=PROTOS, capture_output=True, text=True, check=True)
    return {
        (Path(file["file_path"]).name, problem["rule_id"], problem["message"])
        for file in json.loads(done.stdout)
        for problem in file["problems"]
    }


def test_the_contract_keeps_every_rule_that_has_no_exception(linter: Path) -> None:
    assert problems(linter, "--config", str(CONFIG)) == set()


def test_no_exception_is_there_for_nothing(linter: Path) -> None:
    broken = {(file, rule) for file, rule, _ in problems(linter)}
    entries: list[dict[str, Any]] = yaml.safe_load(CONFIG.read_text())
    for entry in entries:
        names = {Path(path).name for path in entry["included_paths"]}
        for rule in entry["disabled_rules"]:
            assert any(rule == found and ("*.proto" in names or file in names) for file, found in broken), rule
