"""Where the server is, how to speak to it, and who says so, from arguments or environment."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import grpc

from headstart.errors import InvalidArgument
from headstart.wire.hosts import is_this_machine
from headstart.wire.tokens import Token, header_of, token_of

DEFAULT_ADDRESS = "localhost:50051"
MIB = 1 << 20
Place: TypeAlias = "str | os.PathLike[str]"
SERVICE_CONFIG = Path(__file__).parent.parent / "service_config.json"
"""https://github.com/grpc/grpc/blob/master/doc/service_config.md"""

# Sending is unlimited so that the server's own limit answers. The pings find a dead peer and stay under the rate that
# gRPC servers allow by default (one per five minutes). Reconnecting is quick because the retry policy does the waiting.
# Errors travel in trailers of 4 KiB at most, beside what proxies add. Calls are repeated by `programs` alone: with
# retries of gRPC's own beside them, streams of a server that was killed were seen to wait for ever (grpcio 1.80). The
# service config is for clients that have nothing of the kind.
CHANNEL_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.max_receive_message_length", 64 * MIB),
    ("grpc.max_send_message_length", -1),
    ("grpc.keepalive_time_ms", 330_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 10_000),
    ("grpc.max_reconnect_backoff_ms", 3_000),
    ("grpc.primary_user_agent", "headstart-python"),
    ("grpc.max_metadata_size", 16 << 10),
    ("grpc.absolute_max_metadata_size", 16 << 10),
    ("grpc.enable_retries", 0),
)


@dataclass(frozen=True)
class Connection:
    """One server, as a client sees it.

    Attributes:
        address: `host:port`.
        token: bearer token sent with every call, or what gives it.
        tls: whether the channel is encrypted.
        root_certificates: PEM bytes that the server's certificate is checked against; None: the system's.
        client_certificate: PEM bytes of the private key, and of the certificate chain that says who calls.
    """

    address: str
    token: Token | None = field(default=None, repr=False)
    tls: bool = False
    root_certificates: bytes | None = None
    client_certificate: tuple[bytes, bytes] | None = field(default=None, repr=False)

    @classmethod
    def resolve(
        cls,
        address: str | None = None,
        *,
        token: Token | None = None,
        tls: bool | None = None,
        root_certificates: Place | None = None,
        client_certificate: Place | None = None,
        client_key: Place | None = None,
        plaintext_token: bool | None = None,
    ) -> Connection:
        """Fill what is not given from the environment.

        HEADSTART_SERVER, _TOKEN, _BEARER_TOKEN_FILE, _ROOT_CERTIFICATES, _CLIENT_CERTIFICATE and _CLIENT_KEY;
        HEADSTART_TLS=1 encrypts, HEADSTART_PLAINTEXT_TOKEN=1 sends tokens without.

        Raises:
            InvalidArgument: a token would travel where others can read it, a certificate lacks its key, or TLS.
        """
        certificates = _place(root_certificates, "ROOT_CERTIFICATES")
        pair = _pair(_place(client_certificate, "CLIENT_CERTIFICATE"), _place(client_key, "CLIENT_KEY"))
        found = cls(
            address=address or os.environ.get("HEADSTART_SERVER") or DEFAULT_ADDRESS,
            token=token_of(token),
            tls=bool(certificates or pair) or os.environ.get("HEADSTART_TLS") == "1" if tls is None else tls,
            root_certificates=Path(certificates).read_bytes() if certificates else None,
            client_certificate=pair,
        )
        if found.client_certificate and not found.tls:
            raise InvalidArgument("client_certificate needs TLS; leave tls=False out")
        if plaintext_token is None:
            plaintext_token = os.environ.get("HEADSTART_PLAINTEXT_TOKEN") == "1"
        if not plaintext_token:
            found.keep_token_off_networks()
        return found

    def keep_token_off_networks(self) -> None:
        """Raise InvalidArgument where the token would travel without TLS to another machine."""
        if self.token and not self.tls and not is_this_machine(self.address):
            raise InvalidArgument(
                f"the token is not sent to {self.address} without TLS, where others may read it; use TLS "
                "(root_certificates or tls=True; HEADSTART_ROOT_CERTIFICATES or HEADSTART_TLS=1), or say that the "
                "network is yours alone (plaintext_token=True; HEADSTART_PLAINTEXT_TOKEN=1)"
            )

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Headers of a call that is made now."""
        return (("authorization", header_of(self.token)),) if self.token else ()

    def open(self, api: Any = grpc) -> Any:
        """Open a channel of `grpc` or of `grpc.aio`."""
        if not self.tls:
            return api.insecure_channel(self.address, options=CHANNEL_OPTIONS)
        credentials = grpc.ssl_channel_credentials(self.root_certificates, *(self.client_certificate or ()))
        return api.secure_channel(self.address, credentials, options=CHANNEL_OPTIONS)


def _place(given: Place | None, variable: str) -> Place | None:
    """Return where a file is; None where nobody says."""
    return given or os.environ.get(f"HEADSTART_{variable}") or None


def _pair(certificate: Place | None, key: Place | None) -> tuple[bytes, bytes] | None:
    """Return key and certificate, as gRPC takes them."""
    if (certificate is None) != (key is None):
        raise InvalidArgument("client_certificate and client_key go together; give both, or neither")
    if certificate is None or key is None:
        return None
    return Path(key).read_bytes(), Path(certificate).read_bytes()
