"""Which addresses are this machine's own: what is sent there is on no network."""

from __future__ import annotations

import ipaddress
import re

_SOCKETS = ("unix:", "unix-abstract:")
_HOST = re.compile(
    r"(?:dns:(?:///)?|ipv4:|ipv6:)?(?:\[(?P<six>[^\]]+)\](?::\d+)?|(?P<name>[^:/,\[\]]+)(?::\d+)?)", re.IGNORECASE
)
"""One host, as gRPC writes it (https://github.com/grpc/grpc/blob/master/doc/naming.md) for its own resolver."""


def is_this_machine(address: str) -> bool:
    """Return whether an address is on this machine: a loopback host, or a socket of the file system."""
    if address.startswith(_SOCKETS):
        return True
    found = _HOST.fullmatch(address)
    if found is None:
        return False
    host = found["six"] or found["name"]
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
