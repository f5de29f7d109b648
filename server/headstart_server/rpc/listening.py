"""What a server needs to listen, tried before gRPC does: its own errors are several lines, and name no setting."""

import socket
import ssl
from pathlib import Path

from headstart_server.core.errors import FailedPreconditionError
from headstart_server.core.reasons import Reason


def require_free_port(host: str, port: int, flag: str) -> None:
    """Raises FailedPreconditionError naming the flag where nobody could listen; port 0 is always free."""
    try:
        [family, kind, protocol, _, address] = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            # as gRPC sets it: connections in TIME_WAIT do not keep the port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except (OSError, UnicodeError) as error:
        raise _refused(
            f"cannot listen on {host} port {port}: {_brief(error)}; end what listens there, or choose another {flag}, "
            "or a --host of this machine"
        ) from error


def require_key_pair(certificate: Path, key: Path) -> ssl.SSLContext:
    """A context with both; raises FailedPreconditionError for files that are no PEM, or do not belong together."""
    try:
        for path in (certificate, key):
            path.read_bytes()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key, _no_password)
    except (OSError, ValueError) as error:
        raise _refused(
            f"--tls-certificate {certificate} and --tls-key {key} cannot be used: {_brief(error)}; give a PEM "
            "certificate chain and its private key without a password"
        ) from error
    return context


def _no_password() -> str:
    """Asked for a password OpenSSL would wait at the terminal."""
    raise ValueError("the key has a password")


def _refused(message: str) -> FailedPreconditionError:
    return FailedPreconditionError(message, reason=Reason.CANNOT_LISTEN)


def _brief(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).splitlines()[0][:200]
