"""What each RPC asks for: one table, as long as the protos, which docs/security.md shows."""

from __future__ import annotations

from headstart_server.core.principal import Scope
from headstart_server.rpc.access import ACCESS, METRICS_ACCESS, OPEN, access_of

from tests.contract.access import DOCUMENT, document
from tests.support.rpcs import every_rpc

ASK_FOR_CREDENTIALS_ALONE = {
    "headstart.v1.ServerService/GetServerInfo",
    "inference.GRPCInferenceService/ServerMetadata",
}
INFERENCE = ("Server", "Model", "Repository")
"""The Open Inference Protocol, as far as it is served, changes nothing."""
READING = ("Get", "List", "Watch", "Plan", "Suggest", "Predict", "Evaluate", "Embed", "Download", *INFERENCE)


def test_every_rpc_of_the_protos_has_its_row_and_no_other_has() -> None:
    assert sorted([*ACCESS, *OPEN]) == sorted(rpc.method for rpc in every_rpc())


def test_only_who_is_alive_and_ready_is_told_to_everybody() -> None:
    assert {method.split("/")[1] for method in OPEN} == {"ServerLive", "ServerReady"}
    assert {rpc.name for rpc in every_rpc() if access_of(rpc.method) is None} == {"ServerLive", "ServerReady"}


def test_an_rpc_without_a_scope_is_one_on_purpose() -> None:
    assert {method for method, access in ACCESS.items() if not access.scopes} == ASK_FOR_CREDENTIALS_ALONE


def test_what_changes_something_is_audited_and_needs_more_than_to_read() -> None:
    for method, access in ACCESS.items():
        assert access.changes != method.split("/")[1].startswith(READING), method
        if access.changes:
            assert {Scope.TRAIN, Scope.ADMIN} & set(access.scopes), method


def test_every_scope_opens_something() -> None:
    assert {scope for access in (*ACCESS.values(), METRICS_ACCESS) for scope in access.scopes} == set(Scope)


def test_the_document_shows_the_table() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(), "run: python -m tests.contract.access"


def test_the_document_says_what_each_scope_is() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert all(f"| `{scope}` |" in text for scope in Scope)
