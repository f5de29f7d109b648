"""The TLS files of a server, for both transports; changed ones serve every connection that is made from then on."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import structlog

from headstart_server import metrics
from headstart_server.auth.watched_files import WatchedFiles
from headstart_server.core.errors import FailedPreconditionError
from headstart_server.core.reasons import Reason
from headstart_server.rpc.listening import require_key_pair
from headstart_server.rpc.validity import end_of_certificate

_log = structlog.get_logger()


@dataclass(frozen=True)
class TlsFiles:
    """Which files, all PEM."""

    certificate: Path
    key: Path
    client_ca: Path | None = None
    """Authorities that vouch for clients; none: clients are asked for no certificate."""

    @property
    def paths(self) -> list[Path]:
        """All of them."""
        return [path for path in (self.certificate, self.key, self.client_ca) if path is not None]


@dataclass(frozen=True)
class Material:
    """What was in the files at one time."""

    certificate: bytes
    key: bytes
    client_ca: bytes | None
    context: ssl.SSLContext
    """For HTTP, where a certificate of the client is welcome, and nobody is asked for one: probes have none."""


Certificates = WatchedFiles[Material]


def certificates_of(certificate: Path | None, key: Path | None, client_ca: Path | None = None) -> Certificates | None:
    """The files as they are, and as they will be; None without TLS.

    Raises FailedPreconditionError where they cannot be used now.
    """
    if certificate is None or key is None:
        return None
    files = TlsFiles(certificate, key, client_ca)
    return WatchedFiles("certificates", files.paths, lambda: _read(files))


def server_credentials(certificates: Certificates) -> Any:
    """What gRPC serves: it asks before each handshake whether there is something new.

    With an authority for clients every connection has to have a certificate of it: gRPC for Python knows no other way.
    """
    served = certificates.value

    def changed() -> Any:
        nonlocal served
        current = certificates.value
        if current is served:
            return None
        served = current
        return _configuration(current)

    asks = served.client_ca is not None
    return grpc.dynamic_ssl_server_credentials(_configuration(served), changed, asks)


def _configuration(material: Material) -> Any:
    return grpc.ssl_server_certificate_configuration([(material.key, material.certificate)], material.client_ca)


def _read(files: TlsFiles) -> Material:
    """Reads the files; raises FailedPreconditionError unless they belong together, and did so all the while."""
    require_key_pair(files.certificate, files.key)
    before = [_bytes(path) for path in files.paths]
    context = require_key_pair(files.certificate, files.key)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if files.client_ca is not None:
        _trust(context, files.client_ca)
    if before != [_bytes(path) for path in files.paths]:
        raise _refused("the TLS files changed while they were read; they are read again")
    certificate, key, *authorities = before
    _note_end(files.certificate, certificate)
    return Material(certificate, key, authorities[0] if authorities else None, context)


def _note_end(path: Path, certificate: bytes) -> None:
    """Tells when the certificate ends. One that is over is served: jobs go on, and clients say why they do not come."""
    try:
        end = end_of_certificate(certificate)
    except ValueError as error:
        raise _refused(
            f"--tls-certificate {path} holds no 'BEGIN CERTIFICATE'; give a PEM certificate chain"
        ) from error
    metrics.CERTIFICATE_EXPIRY.set(end.timestamp())
    if end < datetime.now(UTC):
        _log.error("the TLS certificate is over; renew it", ended=end.isoformat())


def _trust(context: ssl.SSLContext, authorities: Path) -> None:
    try:
        context.load_verify_locations(authorities)
    except (OSError, ValueError) as error:
        raise _refused(f"--tls-client-ca {authorities} cannot be used: {error}; give PEM certificates") from error
    context.verify_mode = ssl.CERT_OPTIONAL


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _refused(f"{path} cannot be read: {error.strerror}; name a PEM file of TLS") from error


def _refused(message: str) -> FailedPreconditionError:
    return FailedPreconditionError(message, reason=Reason.CANNOT_LISTEN)
