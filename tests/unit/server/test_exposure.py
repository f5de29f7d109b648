"""Which settings a server starts with: nobody is let in from outside unasked, unless a flag says so."""

from __future__ import annotations

import pytest
from headstart_server.settings import Settings, settings_of
from pydantic import ValidationError

OUTSIDE = ["--host", "0.0.0.0"]
TLS = ["--tls-certificate", "c.pem", "--tls-key", "k.pem"]
ISSUER = ["--oidc-issuer", "https://issuer.example", "--oidc-audience", "headstart"]


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["--token-file", "tokens"],
        ["--allow-anonymous"],
        [*OUTSIDE, *TLS, "--token-file", "tokens"],
        [*OUTSIDE, *TLS, *ISSUER],
        [*OUTSIDE, *TLS, *ISSUER, "--token-file", "tokens", "--tls-client-ca", "ca.pem"],
        [*OUTSIDE, "--insecure", "--token-file", "tokens"],
        [*OUTSIDE, "--insecure", "--allow-anonymous"],
        [*OUTSIDE, *TLS, "--allow-anonymous"],
        [*ISSUER, "--oidc-jwks", "keys.json"],
        ["--oidc-issuer", "http://127.0.0.1:1", "--oidc-audience", "headstart"],
    ],
    ids=" ".join,
)
def test_these_go_together(flags: list[str]) -> None:
    assert isinstance(settings_of(flags), Settings)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([*OUTSIDE], "serve TLS (--tls-certificate and --tls-key) or say --insecure"),
        ([*OUTSIDE, "--token-file", "tokens"], "serve TLS"),
        ([*OUTSIDE, "--insecure"], "give --token-file or --oidc-issuer, or say --allow-anonymous"),
        ([*OUTSIDE, *TLS], "give --token-file or --oidc-issuer, or say --allow-anonymous"),
        ([*OUTSIDE, *TLS, "--tls-client-ca", "ca.pem"], "give --token-file or --oidc-issuer"),
        (["--tls-client-ca", "ca.pem"], "tls_client_ca needs TLS"),
        (["--allow-anonymous", "--token-file", "tokens"], "would mean nothing; leave"),
        (["--allow-anonymous", *ISSUER], "would mean nothing; leave"),
        (ISSUER[:2], "oidc_issuer and oidc_audience go together"),
        (ISSUER[2:], "oidc_issuer and oidc_audience go together"),
        (["--oidc-jwks", "keys.json"], "oidc_jwks needs oidc_issuer"),
        (["--oidc-issuer", "http://issuer.example", "--oidc-audience", "a"], "give an https:// address"),
        ([*ISSUER, "--oidc-jwks", "http://issuer.example/keys"], "give an https:// address"),
        (["--oidc-issuer", "issuer.example", "--oidc-audience", "a"], "is no https:// address"),
    ],
    ids=lambda item: " ".join(item) if isinstance(item, list) else "",
)
def test_these_do_not_and_the_fix_is_named(flags: list[str], said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        settings_of(flags)
    assert said in str(refused.value)
