"""When a certificate ends, which Python's ssl tells of nobody's but the other side's."""

import ssl
from datetime import UTC, datetime

_UTC_TIME, _CONTEXT_0 = 0x17, 0xA0


def end_of_certificate(pem: bytes) -> datetime:
    """The end of the first certificate of a PEM file that OpenSSL has read; raises ValueError where there is none.

    RFC 5280, section 4.1.
    """
    text = pem.decode("ascii", "replace")
    begin, end = text.index(ssl.PEM_HEADER), text.index(ssl.PEM_FOOTER) + len(ssl.PEM_FOOTER)
    certificate = ssl.PEM_cert_to_DER_cert(text[begin:end])
    signed = _Der(certificate).enter().enter()
    if signed.tag == _CONTEXT_0:  # the version, which the first one left out
        signed.skip()
    for _ in range(3):  # serial number, algorithm, issuer
        signed.skip()
    validity = signed.enter()
    validity.skip()
    return _time(*validity.take())


class _Der:
    """A place in DER: elements of a tag, a length and a content."""

    def __init__(self, rest: bytes) -> None:
        self.rest = rest

    @property
    def tag(self) -> int:
        """Of the next element."""
        return self.rest[0]

    def take(self) -> tuple[int, bytes]:
        """The next element: (tag, content)."""
        tag, length, start = self.rest[0], self.rest[1], 2
        if length & 0x80:  # as many bytes follow, which hold it
            start += length & 0x7F
            length = int.from_bytes(self.rest[2:start], "big")
        content, self.rest = self.rest[start : start + length], self.rest[start + length :]
        return tag, content

    def skip(self) -> None:
        """Goes on behind the next element."""
        self.take()

    def enter(self) -> "_Der":
        """What is in the next element."""
        return _Der(self.take()[1])


def _time(tag: int, content: bytes) -> datetime:
    """Years of two digits are those from 1950 to 2049 (4.1.2.5.1)."""
    text = content.decode("ascii")
    if tag == _UTC_TIME:
        text = f"{'19' if int(text[:2]) >= 50 else '20'}{text}"
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
