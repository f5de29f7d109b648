"""`headstart store` shows, verifies, compacts and prunes the store of a state directory."""

import json
from pathlib import Path

import pytest
from headstart_server.core.layout import Layout
from headstart_server.embedding_store.cli import main
from headstart_server.settings import settings_of

from tests.support.stores import small_shards, space_of


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(list(arguments))
    return code, capsys.readouterr().out


def test_the_command_line_lists_counts_verifies_compacts_and_prunes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = ["--state-dir", str(tmp_path)]
    paths = small_shards(Layout(tmp_path).embeddings, 3)
    [space] = json.loads(_run(capsys, "list", *state, "--json")[1])
    assert (space["identifier"], space["rows"]) == (space_of().identifier, 3)
    assert space_of().identifier in _run(capsys, "list", *state)[1]
    stats = json.loads(_run(capsys, "stats", *state, "--json")[1])
    assert stats == {"spaces": 1, "rows": 3, "bytes": space["bytes"], "shards": 3, "quarantined": 0}
    assert "rows: 3" in _run(capsys, "stats", *state)[1]
    assert _run(capsys, "verify", *state, "--json")[0] == 0
    paths[0].write_bytes(b"x")
    code, text = _run(capsys, "verify", *state, "--json")
    result = json.loads(text)
    assert (code, result["shards"], result["corrupt"]) == (1, 3, 1)
    assert result["found"][0]["path"].endswith(paths[0].name)
    compacted = json.loads(_run(capsys, "compact", *state, "--json")[1])
    assert compacted == {"merged_shards": 2, "into": 1, "removed_shards": 2}
    pruned = json.loads(_run(capsys, "prune", *state, "--max-size", "0", "--json")[1])
    assert pruned["removed_shards"] == 2


def test_a_state_directory_without_a_store_is_an_empty_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(capsys, "stats", "--state-dir", str(tmp_path), "--json")[0] == 0


@pytest.mark.parametrize("size", ["", "G", "-1", "ten", "5X", "1..5", "²"])
def test_sizes_that_are_none_are_refused(tmp_path: Path, size: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["prune", "--state-dir", str(tmp_path), "--max-size", size])
    assert "max-size" in capsys.readouterr().err


def test_sizes_have_units(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = small_shards(Layout(tmp_path).embeddings, 2)
    kilobytes = paths[0].stat().st_size * 1.5 / 1024
    main(["prune", "--state-dir", str(tmp_path), "--max-size", f"{kilobytes:.3f}k"])
    capsys.readouterr()
    assert [path.exists() for path in paths] == [False, True]


def test_without_a_state_directory_it_says_so_and_ends_with_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("list", "stats", "verify", "compact"):
        assert main([command, "--state-dir", str(tmp_path / "nowhere")]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("error: --state-dir:") and "nowhere" in captured.err
    assert main(["stats", "--state-dir", str(tmp_path / "nowhere"), "--json"]) == 2
    assert json.loads(capsys.readouterr().err)["error"]["exit_code"] == 2
    assert not (tmp_path / "nowhere").exists()


def test_the_state_directory_is_the_servers_unless_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEADSTART_STATE_DIR", raising=False)
    small_shards(Layout(settings_of([]).state_dir).embeddings, 2)
    assert json.loads(_run(capsys, "stats", "--json")[1])["rows"] == 2
    monkeypatch.setenv("HEADSTART_STATE_DIR", "elsewhere")
    small_shards(Layout(settings_of([]).state_dir).embeddings, 3)
    assert json.loads(_run(capsys, "stats", "--json")[1])["rows"] == 3
