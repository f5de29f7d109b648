"""Keeps a failed call's message and details together below what every client takes, in any script.

Both travel in the trailers of the call: the message percent-encoded, where a character outside ASCII takes up to twelve
bytes, and once more in the details, as base64. See docs/decisions/0021-errors-fit-into-trailers.md.
"""

from collections.abc import Callable, Iterator, Sequence

from google.rpc.status_pb2 import Status

from headstart_server.core.errors import HeadstartError, InvalidInputError, Violation, rest

LIMIT_BYTES = 4_096
"""Of all trailers of a call; Java's clients and many proxies take 8 KiB of headers, others less."""
_OTHERS = 384
"""Names of these two trailers, the status code, the pushback, and 32 bytes for each, as HTTP/2 counts them."""
_SHORTEST = 225
# bytes of one text, halved until everything fits, which the shortest always does
_SIZES = (3_600, 1_800, 900, 450, _SHORTEST)
_FIELD = 240
_CUT = " … "
_ESCAPED = bytes(byte for byte in range(256) if not 0x20 <= byte <= 0x7E or byte == 0x25)
"""Each of which takes three bytes of `grpc-message`."""


def fitted(error: HeadstartError, build: Callable[[str, Sequence[Violation]], Status]) -> tuple[str, Status]:
    """The longest message and the most violations of an error that fit, in what `build` makes of them.

    Violations stay whole as long as all fit, then lose the middle of their texts, then the last of them go and the
    message says how many. The result is (message, google.rpc.Status).
    """
    candidates = _of_violations(error) if isinstance(error, InvalidInputError) else _of_message(error.message)
    for message, violations in candidates:
        status = build(message, violations)
        if encoded_bytes(message, status) <= LIMIT_BYTES - _OTHERS:
            break
    return message, status


def encoded_bytes(message: str, status: Status) -> int:
    """Of a message and its status as trailers carry them."""
    size: int = status.ByteSize()
    # base64 takes four characters for every three bytes, and for what is left of three
    return percent_encoded_bytes(message) + -(-size // 3) * 4


def percent_encoded_bytes(text: str) -> int:
    """Length of `grpc-message`, which leaves printable ASCII but for `%` as it is."""
    # Percent-Encoded in https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
    encoded = text.encode()
    return 3 * len(encoded) - 2 * len(encoded.translate(None, _ESCAPED))


def shortened(text: str, size: int) -> str:
    """A text of at most so many percent-encoded bytes: what a mistake is stands first in it, how to mend it last."""
    if len(text) > 2 * size:  # far too long: no character takes less than a byte
        text = text[:size] + text[-size:]
    text = text.encode("utf-8", "backslashreplace").decode()  # half of a surrogate pair is no text that can be sent
    if percent_encoded_bytes(text) <= size:
        return text
    left = size - percent_encoded_bytes(_CUT)
    head = _fitting(text, left * 2 // 3)
    tail = _fitting(text[::-1], left - left * 2 // 3)
    return text[:head] + _CUT + text[len(text) - tail :]


def _fitting(text: str, size: int) -> int:
    """How many of the first characters take at most so many percent-encoded bytes."""
    used = 0
    for count, character in enumerate(text):
        used += percent_encoded_bytes(character)
        if used > size:
            return count
    return len(text)


def _of_message(message: str) -> Iterator[tuple[str, Sequence[Violation]]]:
    return ((shortened(message, size), ()) for size in _SIZES)


def _of_violations(error: InvalidInputError) -> Iterator[tuple[str, Sequence[Violation]]]:
    """Messages with their violations, from the longest to the shortest."""
    for size in _SIZES:
        trimmed = [Violation(shortened(item.field, _FIELD), shortened(item.message, size)) for item in error.listed]
        listed = _with_rest(trimmed, error.unlisted)
        yield "; ".join(map(str, listed)), listed
        yield _summary(trimmed[0], len(trimmed) - 1 + error.unlisted), listed
    # `trimmed` holds the shortest texts by now
    for count in range(len(trimmed) - 1, 0, -1):
        listed = _with_rest(trimmed[:count], len(trimmed) - count + error.unlisted)
        yield _summary(trimmed[0], len(trimmed) - 1 + error.unlisted), listed


def _with_rest(violations: list[Violation], unlisted: int) -> list[Violation]:
    return [*violations, rest(unlisted)] if unlisted else violations


def _summary(first: Violation, others: int) -> str:
    return f"{first}; and {others} more" if others else str(first)
