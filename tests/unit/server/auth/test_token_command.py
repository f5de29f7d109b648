"""`headstart token`: a token that is shown once, and the line that lets it in."""

from __future__ import annotations

from pathlib import Path

import pytest
from headstart_server.auth.token_command import main
from headstart_server.auth.token_file import read_token_file
from headstart_server.core.principal import Principal, Scope


def test_a_token_is_printed_and_its_line_lets_it_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, tokens = tmp_path / "tokens", []
    path.write_text("# ours")  # without a line feed at its end
    for name in ("ci", "nightly"):
        assert main([name, "--tenant", "search", "--scopes", "train,read", "--token-file", str(path)]) == 0
        printed = capsys.readouterr()
        tokens.append(printed.out.strip())
        assert tokens[-1] not in printed.err and str(path) in printed.err
    found = read_token_file(path)
    scopes = frozenset({Scope.TRAIN, Scope.READ})
    assert [found.of_token(token) for token in tokens] == [
        Principal("search", scopes, "ci"),
        Principal("search", scopes, "nightly"),
    ]
    assert all(token not in path.read_text() for token in tokens)
    assert len(set(tokens)) == 2 and all(len(token) > 50 for token in tokens)


def test_a_new_file_is_its_users_alone(tmp_path: Path) -> None:
    assert main(["ci", "--token-file", str(tmp_path / "tokens")]) == 0
    assert (tmp_path / "tokens").stat().st_mode & 0o777 == 0o600


def test_without_a_file_the_line_is_printed_beside_the_token(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ci"]) == 0
    printed = capsys.readouterr()
    (tmp_path / "tokens").write_text(printed.err.splitlines()[-1])
    found = read_token_file(tmp_path / "tokens").of_token(printed.out.strip())
    assert found == Principal("", frozenset({Scope.READ, Scope.TRAIN, Scope.PREDICT}), "ci")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["c i"], "name: must be"),
        (["ci", "--scopes", "everything"], "'everything' is no scope; use read"),
        (["ci", "--tenant", "a/b"], "tenant: must be"),
        (["ci", "--token-file", "/nowhere/at/all"], "No such file"),
    ],
)
def test_what_no_server_would_take_is_not_made(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert said in printed.err and not printed.out


def test_a_file_with_wrong_lines_is_left_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tokens").write_text("wrong\n")
    assert main(["ci", "--token-file", str(tmp_path / "tokens")]) == 2
    assert "line 1" in capsys.readouterr().err
    assert (tmp_path / "tokens").read_text() == "wrong\n"
