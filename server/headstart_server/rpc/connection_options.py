"""What one connection may do and cost: gRPC's options, each set on purpose. docs/limits.md gives the reasons."""

from dataclasses import dataclass

METADATA_BYTES = 16 << 10
"""Of a call's headers: a token of some kilobytes, and what proxies and tracing add."""
CONCURRENT_STREAMS = 1_024
"""Calls at a time on one connection; further ones wait at the client."""
CONNECTIONS = 10_000
_IDLE_MS = 30 * 60_000
_LONGEST = 2**31 - 1  # milliseconds, which gRPC takes for ever


@dataclass(frozen=True)
class ConnectionLimits:
    """What an operator may choose."""

    max_message_bytes: int = 64 << 20
    max_age: float = 0.0
    """Seconds after which a client is asked to connect anew; 0: never."""
    max_age_grace: float = 0.0
    """Seconds that its calls then get to finish; 0: as long as they take."""


def connection_options(limits: ConnectionLimits) -> list[tuple[str, int]]:
    """The options of a server."""
    return [
        ("grpc.max_receive_message_length", limits.max_message_bytes),
        ("grpc.max_send_message_length", -1),  # no limit
        ("grpc.so_reuseport", 0),  # else Linux lets a second server share the port, and each gets some of the calls
        # both bounds alike: between a soft and a hard one gRPC refuses by chance
        ("grpc.max_metadata_size", METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", METADATA_BYTES),
        ("grpc.max_concurrent_streams", CONCURRENT_STREAMS),
        ("grpc.max_allowed_incoming_connections", CONNECTIONS),
        ("grpc.server_handshake_timeout_ms", 20_000),
        ("grpc.keepalive_time_ms", 30_000),  # finds connections whose client went without a FIN
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        # of clients' pings: those that come more often, by default than every 5 minutes, end the connection
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ("grpc.max_connection_idle_ms", _IDLE_MS),
        ("grpc.max_connection_age_ms", _milliseconds(limits.max_age)),
        ("grpc.max_connection_age_grace_ms", _milliseconds(limits.max_age_grace)),
    ]


def _milliseconds(seconds: float) -> int:
    return min(_LONGEST, round(seconds * 1_000)) if seconds else _LONGEST
