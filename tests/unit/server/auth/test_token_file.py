"""The token file: what its lines mean, and what is said of wrong ones without telling what may be a token."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from headstart_server.auth.token_file import TokenFile, line_of, read_token_file
from headstart_server.core.errors import FailedPreconditionError
from headstart_server.core.principal import Principal, Scope

DIGEST = hashlib.sha256(b"a token").hexdigest()
SECRET = "headstart_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"


def read(text: str | bytes, folder: Path) -> TokenFile:
    path = folder / "tokens"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_token_file(path)


def test_a_line_says_who_has_a_token(tmp_path: Path) -> None:
    found = read(f"# who may call\n\n  ci\tsearch  train,read sha256:{DIGEST}\n", tmp_path)
    assert found.of_token("a token") == Principal("search", frozenset({Scope.TRAIN, Scope.READ}), "ci")
    assert found.of_token("another") is None


def test_a_dash_is_the_empty_tenant(tmp_path: Path) -> None:
    found = read(f"ci - read sha256:{DIGEST}", tmp_path).of_token("a token")
    assert found is not None and found.tenant == ""


def test_a_line_that_is_written_is_read_as_the_same_principal(tmp_path: Path) -> None:
    for one in (Principal("t", frozenset(Scope), "n"), Principal("", frozenset({Scope.PREDICT}), "a@b")):
        assert read(line_of(one, DIGEST), tmp_path).of_token("a token") == one


def test_a_certificate_is_known_by_any_of_its_names(tmp_path: Path) -> None:
    found = read("batch search predict certificate:spiffe://x/batch\nweb search read certificate:web", tmp_path)
    batch = found.of_certificate(["batch.search.svc", "spiffe://x/batch", "batch"])
    assert batch is not None and batch.name == "batch"
    assert found.of_certificate(["spiffe://x/other"]) is None
    assert found.of_certificate(["spiffe://x/batch", "web"]) is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ci search read", "line 2: has 3 fields; write NAME TENANT SCOPES CREDENTIAL"),
        (f"ci search read sha256:{DIGEST} more", "line 2: has 5 fields"),
        (f"-ci search read sha256:{DIGEST}", "line 2: name: must be"),
        (f"ci ../search read sha256:{DIGEST}", "line 2: tenant: must be"),
        (f"ci {'t' * 65} read sha256:{DIGEST}", "line 2: tenant: must be up to 64"),
        (f"ci search trian sha256:{DIGEST}", "line 2: scopes: 'trian' is no scope; use read, train, predict, admin"),
        (f"ci search read,,train sha256:{DIGEST}", "line 2: scopes: '' is no scope"),
        (f"ci search read sha256:{DIGEST[:-1]}", "line 2: credential: is neither sha256: with 64"),
        (f"ci search read sha256:{DIGEST.upper()}", "in lower case"),
        (f"ci search read {SECRET}", "`headstart token` makes one"),
        (f"ci search {SECRET} read", "scopes: one of the words is no scope"),
        (f"two search read sha256:{DIGEST}\ntwo search read sha256:{DIGEST}", "line 3: credential: is that of another"),
    ],
)
def test_a_wrong_line_is_named_with_its_field_and_the_fix(line: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(FailedPreconditionError) as refused:
        read(f"# a comment\n{line}\n", tmp_path)
    assert said in refused.value.message
    assert str(tmp_path / "tokens") in refused.value.message
    assert "\n" not in refused.value.message
    assert SECRET not in refused.value.message


def test_of_many_wrong_lines_the_first_are_told(tmp_path: Path) -> None:
    with pytest.raises(FailedPreconditionError, match=r"line 5: .*; and 15 lines more$"):
        read("wrong\n" * 20, tmp_path)


@pytest.mark.parametrize(("content", "said"), [(b"\xff\xfe", "is no UTF-8 text"), (None, "cannot be read")])
def test_what_is_no_token_file_is_refused(content: bytes | None, said: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "tokens").write_bytes(content)
    with pytest.raises(FailedPreconditionError, match=said):
        read_token_file(tmp_path / "tokens")


def test_a_line_without_fields_is_none_of_anybody(tmp_path: Path) -> None:
    assert read("\n   \n# nobody\n", tmp_path) == TokenFile()
