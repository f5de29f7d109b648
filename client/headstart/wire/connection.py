"""Where the server is and how to speak to it, from arguments or environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

DEFAULT_ADDRESS = "localhost:50051"
MIB = 1 << 20
SERVICE_CONFIG = Path(__file__).parent.parent / "service_config.json"
"""https://github.com/grpc/grpc/blob/master/doc/service_config.md"""

# Sending is unlimited so that the server's own limit answers. The pings find a dead peer and stay under the rate that
# gRPC servers allow by default (one per five minutes). Reconnecting is quick because the retry policy does the waiting.
# Errors travel in trailers of 4 KiB at most, beside what proxies add. Which calls are repeated when says the service
# config, which other languages' clients take as it is.
CHANNEL_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.max_receive_message_length", 64 * MIB),
    ("grpc.max_send_message_length", -1),
    ("grpc.keepalive_time_ms", 330_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.max_reconnect_backoff_ms", 3_000),
    ("grpc.primary_user_agent", "headstart-python"),
    ("grpc.max_metadata_size", 16 << 10),
    ("grpc.absolute_max_metadata_size", 16 << 10),
    ("grpc.service_config", SERVICE_CONFIG.read_text(encoding="utf-8")),
)


@dataclass(frozen=True)
class Connection:
    """One server, as a client sees it.

    Attributes:
        address: `host:port`.
        token: bearer token sent with every call. Without TLS it travels in the clear.
        tls: whether the channel is encrypted.
        root_certificates: PEM bytes that the server's certificate is checked against; None: the system's.
    """

    address: str
    token: str | None = None
    tls: bool = False
    root_certificates: bytes | None = None

    @classmethod
    def resolve(
        cls,
        address: str | None = None,
        *,
        token: str | None = None,
        tls: bool | None = None,
        root_certificates: str | os.PathLike[str] | None = None,
    ) -> Connection:
        """Fill what is not given from HEADSTART_SERVER, _TOKEN, _ROOT_CERTIFICATES and _TLS (1: encrypt)."""
        certificates = root_certificates or os.environ.get("HEADSTART_ROOT_CERTIFICATES")
        return cls(
            address=address or os.environ.get("HEADSTART_SERVER") or DEFAULT_ADDRESS,
            token=token or os.environ.get("HEADSTART_TOKEN") or None,
            tls=bool(certificates) or os.environ.get("HEADSTART_TLS") == "1" if tls is None else tls,
            root_certificates=Path(certificates).read_bytes() if certificates else None,
        )

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Headers of every call."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    def open(self, api: Any = grpc) -> Any:
        """Open a channel of `grpc` or of `grpc.aio`."""
        if not self.tls:
            return api.insecure_channel(self.address, options=CHANNEL_OPTIONS)
        credentials = grpc.ssl_channel_credentials(root_certificates=self.root_certificates)
        return api.secure_channel(self.address, credentials, options=CHANNEL_OPTIONS)
