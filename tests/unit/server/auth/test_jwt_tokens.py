"""JSON Web Tokens of an issuer: what is taken, and each reason for which one is not."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from headstart_server.auth.jwt_tokens import LEEWAY_SECONDS, Issuer, JwtTokens
from headstart_server.auth.key_set import FileKeys, keys_in, read_keys
from headstart_server.core.errors import FailedPreconditionError, UnauthenticatedError
from headstart_server.core.principal import Principal, Scope

from tests.support.issuer import AUDIENCE, TokenIssuer, rsa_key

ISSUER = TokenIssuer()
OTHER = TokenIssuer()


def tokens(tenant_claim: str = "tenant", scopes_claim: str = "scope", **key_set: Any) -> JwtTokens:
    keys = keys_in(key_set or ISSUER.key_set)
    return JwtTokens(Issuer(ISSUER.url, AUDIENCE, tenant_claim, scopes_claim), FileKeys(lambda: keys))


async def refusal(token: str, **options: Any) -> str:
    with pytest.raises(UnauthenticatedError) as refused:
        await tokens(**options).principal(token)
    assert token[-20:] not in refused.value.message
    return refused.value.message


async def test_claims_say_who_calls() -> None:
    found = await tokens().principal(ISSUER.token())
    assert found == Principal("search", frozenset({Scope.READ, Scope.TRAIN}), "ada")


@pytest.mark.parametrize(
    ("given", "scopes"), [(["predict", "other", 3], {Scope.PREDICT}), ("", set()), (None, set()), (7, set())]
)
async def test_scopes_are_words_or_a_list_and_others_mean_nothing(given: Any, scopes: set[Scope]) -> None:
    found = await tokens(scopes_claim="roles").principal(ISSUER.token(roles=given))
    assert found.scopes == scopes


async def test_a_name_for_logs_is_one_line_of_them() -> None:
    found = await tokens().principal(ISSUER.token(sub="ada\n2026-11-29 [info] \x1b[2J" + "x" * 1_000))
    assert found.name.startswith(r"'ada\n2026") and found.name.isprintable() and len(found.name) < 300


async def test_claims_may_have_other_names() -> None:
    assert (await tokens("org").principal(ISSUER.token(org="ads", tenant=None))).tenant == "ads"
    assert (await tokens("").principal(ISSUER.token(tenant=None))).tenant == ""


@pytest.mark.parametrize("aud", [AUDIENCE, ["else", AUDIENCE]])
async def test_one_of_several_audiences_is_enough(aud: Any) -> None:
    assert (await tokens().principal(ISSUER.token(aud=aud))).name == "ada"


async def test_clocks_may_differ_by_the_leeway() -> None:
    now = int(time.time())
    assert (await tokens().principal(ISSUER.token(exp=now - LEEWAY_SECONDS + 20))).name == "ada"
    assert (await tokens().principal(ISSUER.token(nbf=now + LEEWAY_SECONDS - 20))).name == "ada"


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"exp": int(time.time()) - 3600}, "is over (exp); get a new one"),
        ({"nbf": int(time.time()) + 3600}, "is not valid yet"),
        ({"exp": None}, "lacks the claim 'exp'"),
        ({"iss": None}, "lacks the claim 'iss'"),
        ({"aud": None}, "lacks the claim 'aud'"),
        ({"aud": "else"}, f"for another audience (aud) than '{AUDIENCE}'"),
        ({"iss": "https://else"}, f"of another issuer (iss) than '{ISSUER.url}'"),
        ({"tenant": None}, "claim 'tenant' names no tenant"),
        ({"tenant": "../etc"}, "claim 'tenant' names no tenant"),
        ({"tenant": ""}, "claim 'tenant' names no tenant"),
        ({"tenant": ["a"]}, "claim 'tenant' names no tenant"),
    ],
)
async def test_a_claim_that_does_not_hold_is_named(claims: dict[str, Any], said: str) -> None:
    assert said in await refusal(ISSUER.token(**claims))


async def test_a_key_of_somebody_else_signs_nothing() -> None:
    assert "signature is not its issuer's" in await refusal(OTHER.token())


async def test_a_key_that_the_issuer_does_not_have_is_told_apart() -> None:
    assert "a key that its issuer does not have" in await refusal(ISSUER.token(kid="unheard"))
    assert "a key that its issuer does not have" in await refusal(jwt.encode(ISSUER.claims(), ISSUER.key, "ES256"))


async def test_the_public_key_is_no_secret_to_sign_with() -> None:
    """The known confusion of algorithms: HMAC over a key that everybody has."""
    public = ISSUER.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    header, claims = ({"alg": "HS256", "kid": ISSUER.identifier}, ISSUER.claims())
    signed = f"{_part(header)}.{_part(claims)}"
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(signed.encode(), public)
    assert "algorithm" in await refusal(f"{signed}.{urlsafe_b64encode(signature).rstrip(b'=').decode()}")


async def test_a_token_without_a_signature_is_refused() -> None:
    header = {"alg": "none", "kid": ISSUER.identifier}
    assert "algorithm" in await refusal(f"{_part(header)}.{_part(ISSUER.claims())}.")


@pytest.mark.parametrize("token", ["a.b.c", "..", "é.b.c", "e30.e30.e30", "x" * 20_000])
async def test_what_is_no_token_is_refused(token: str) -> None:
    await refusal(token)


async def test_rsa_keys_are_taken_and_short_ones_are_not() -> None:
    key, public = rsa_key()
    assert (await tokens(keys=[public]).principal(ISSUER.token(key, "RS256", kid="rsa"))).name == "ada"
    short, weak = rsa_key(1024)
    with pytest.warns(jwt.warnings.InsecureKeyLengthWarning):
        signed = ISSUER.token(short, "RS256", kid="rsa")
    assert "signature is not its issuer's" in await refusal(signed, keys=[weak])


def test_keys_that_verify_nothing_of_ours_are_left_out() -> None:
    secret = {"kty": "oct", "k": "c2VjcmV0", "kid": "s", "alg": "HS256"}
    for_encryption = {**ISSUER.published[0], "use": "enc", "kid": "e"}
    assert set(keys_in({"keys": [secret, for_encryption, {"kty": "?"}, 3, *ISSUER.published]})) == {"first"}


@pytest.mark.parametrize(
    "content", [None, b"no JSON", b"[]", b'{"keys": 3}', b'{"keys": [{"kty": "oct", "k": "aaaa"}]}']
)
def test_a_file_without_keys_is_refused_by_name(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FailedPreconditionError, match=r"oidc_jwks '.*keys\.json' cannot be used: .*JSON Web Key Set"):
        read_keys(path)


def _part(value: dict[str, Any]) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
