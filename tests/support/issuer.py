"""An issuer of JSON Web Tokens: keys, tokens, and the documents that an OpenID Connect provider serves."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

AUDIENCE = "headstart"


class TokenIssuer:
    """Signs with one key at a time; `published` are those that it tells."""

    def __init__(self, url: str = "https://issuer.example") -> None:
        self.url = url
        self.published: list[dict[str, Any]] = []
        self.rotate("first")

    def rotate(self, identifier: str) -> None:
        """Signs with a new key from now on, and forgets the others."""
        self.identifier, self.key = identifier, ec.generate_private_key(ec.SECP256R1())
        public = json.loads(ECAlgorithm.to_jwk(self.key.public_key()))
        self.published = [{**public, "kid": identifier, "alg": "ES256", "use": "sig"}]

    @property
    def key_set(self) -> dict[str, Any]:
        """As it is published."""
        return {"keys": self.published}

    def claims(self, **others: Any) -> dict[str, Any]:
        """Those of a token that is taken; None leaves one out."""
        now = int(time.time())
        usual = {"iss": self.url, "aud": AUDIENCE, "exp": now + 600, "iat": now, "sub": "ada"}
        found = {**usual, "tenant": "search", "scope": "openid read train", **others}
        return {name: value for name, value in found.items() if value is not None}

    def token(self, key: Any = None, algorithm: str = "ES256", kid: str | None = None, **claims: Any) -> str:
        """A signed token."""
        headers = {"kid": self.identifier if kid is None else kid}
        return jwt.encode(self.claims(**claims), key or self.key, algorithm=algorithm, headers=headers)


def rsa_key(bits: int = 2048) -> tuple[rsa.RSAPrivateKey, dict[str, Any]]:
    """(private key, public key as a member of a set)."""
    key = rsa.generate_private_key(65537, bits)
    return key, {**json.loads(RSAAlgorithm.to_jwk(key.public_key())), "kid": "rsa", "alg": "RS256"}


@contextmanager
def served_issuer() -> Iterator[tuple[TokenIssuer, list[str]]]:
    """An issuer on this machine, and the paths that it was asked for."""
    asked: list[str] = []

    class Documents(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            found = {
                "/.well-known/openid-configuration": {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"},
                "/keys": issuer.key_set,
            }.get(self.path)
            if self.path == "/elsewhere":
                self.send_response(302)
                self.send_header("Location", f"{issuer.url}/keys")
                self.end_headers()
                return
            self.send_response(200 if found is not None else 404)
            self.end_headers()
            self.wfile.write(json.dumps(found).encode())

        def log_message(self, format: str, *_: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Documents)
    issuer = TokenIssuer(f"http://127.0.0.1:{server.server_port}")
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield issuer, asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
