"""Authorities and certificates, made with cryptography, that live for a day."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Authority:
    """Signs certificates."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def named(cls, name: str) -> Authority:
        """A new one."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _subject(name)
        built = _builder(subject, subject, key, timedelta(days=1))
        built = built.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        return cls(built.sign(key, hashes.SHA256()), key)

    @property
    def pem(self) -> bytes:
        """Its own certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def signed(self, name: str, *others: str, life: timedelta = timedelta(days=1)) -> tuple[bytes, bytes]:
        """(certificate, private key) for a subject with these names beside it."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([_general(other) for other in others or (name,)])
        built = _builder(_subject(name), self.certificate.subject, key, life).add_extension(names, critical=False)
        text = serialization.Encoding.PEM
        private = key.private_bytes(text, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return built.sign(self.key, hashes.SHA256()).public_bytes(text), private


@dataclass(frozen=True)
class Pair:
    """Where a certificate and its key are."""

    certificate: Path
    key: Path

    @classmethod
    def written(cls, folder: Path, name: str, content: tuple[bytes, bytes]) -> Pair:
        """Writes them."""
        pair = cls(folder / f"{name}.pem", folder / f"{name}.key")
        pair.write(content)
        return pair

    @property
    def flags(self) -> list[str]:
        """By which a server serves them."""
        return ["--tls-certificate", str(self.certificate), "--tls-key", str(self.key)]

    def write(self, content: tuple[bytes, bytes]) -> None:
        """Writes others in their place."""
        self.certificate.write_bytes(content[0])
        self.key.write_bytes(content[1])


def server_pair(authority: Authority) -> tuple[bytes, bytes]:
    """For a server on this machine."""
    return authority.signed("server", "localhost", "127.0.0.1")


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general(name: str) -> x509.GeneralName:
    if "://" in name:
        return x509.UniformResourceIdentifier(name)
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, life: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now + life)
    )
