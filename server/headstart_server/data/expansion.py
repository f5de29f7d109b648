"""How far a file may expand: a small one must not fill the memory or the disk of the machine that opens it."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from headstart_server.core.errors import InvalidInputError, invalid
from headstart_server.core.reasons import Reason

RATIO = 100
FLOOR_BYTES = 2 << 30
"""What any file may expand to, however small."""
_OBJECT_BYTES = 64
"""Of a value of a nested column while it is read."""
_NUMBER_BYTES = 16
_TEXT = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)


def allowed_bytes(size: int) -> int:
    """What a file of `size` bytes may expand to: a hundred times its size, 2 GiB at least."""
    return max(FLOOR_BYTES, RATIO * size)


def too_far(field: str, allowed: int) -> InvalidInputError:
    """The error about a file that expands further."""
    return invalid(
        field,
        f"expands to more than {allowed} bytes, {RATIO} times its own size; send less repetitive data, or split it",
        reason=Reason.EXPANDS_TOO_FAR,
    )


def bounded(batches: Iterator[pa.RecordBatch], size: int, field: str) -> Iterator[pa.RecordBatch]:
    """Batches as long as they stay within what a file of `size` bytes may expand to."""
    allowed, total = allowed_bytes(size), 0
    for batch in batches:
        total += batch.nbytes
        if total > allowed:
            raise too_far(field, allowed)
        yield batch


def decoded_bytes(column: pa.Array) -> int:
    """About how many bytes reading a column takes beyond its own: of types that say much in few bytes."""
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return decoded_bytes(column.storage)
    if pa.types.is_dictionary(kind):
        return _dictionary_bytes(column)
    if pa.types.is_run_end_encoded(kind):
        # The most that it can be: as if every row repeated all of the values.
        return int(column.values.nbytes) * len(column)
    if any(test(kind) for test in _LISTS):
        items = column.flatten()  # unlike `values`, of this slice alone
        return _OBJECT_BYTES * (len(column) + len(items)) + decoded_bytes(items)
    if pa.types.is_map(kind):
        # `keys` and `items` are those of the whole array, whatever slice of it this is (pyarrow 26).
        first, last = (column.offsets[index].as_py() for index in (0, -1))
        children = [child.slice(first, last - first) for child in (column.keys, column.items)]
        return _OBJECT_BYTES * (len(column) + 2 * int(last - first)) + sum(map(decoded_bytes, children))
    if pa.types.is_struct(kind):
        return _OBJECT_BYTES * len(column) + sum(decoded_bytes(child) for child in column.flatten())
    return 0


def _dictionary_bytes(column: pa.DictionaryArray) -> int:
    """Exact for text, the most that it can be for nested values."""
    if pa.types.is_primitive(column.type.value_type):
        return _NUMBER_BYTES * len(column)
    most = int(column.dictionary.nbytes) * len(column)
    # The exact sum looks at every index: it is worth that where the bound is large.
    if most < 1 << 20 or not any(test(column.type.value_type) for test in _TEXT):
        return most
    return int(pc.sum(pc.take(pc.binary_length(column.dictionary), column.indices)).as_py() or 0)
