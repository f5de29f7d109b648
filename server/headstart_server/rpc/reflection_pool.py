"""Descriptors of several pools, as reflection asks for them."""

from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pool import DescriptorPool


class DescriptorPools:
    """Looks into one pool after the other; its methods are those of a pool, and raise KeyError as its do."""

    def __init__(self, *pools: DescriptorPool) -> None:
        self._pools = pools

    def FindFileByName(self, name: str) -> Any:  # noqa: N802
        """The file of a name."""
        return self._first("FindFileByName", name)

    def FindFileContainingSymbol(self, symbol: str) -> Any:  # noqa: N802
        """The file that defines a symbol."""
        return self._first("FindFileContainingSymbol", symbol)

    def FindMessageTypeByName(self, name: str) -> Any:  # noqa: N802
        """A message."""
        return self._first("FindMessageTypeByName", name)

    def FindExtensionByNumber(self, message: Any, number: int) -> FieldDescriptor:  # noqa: N802
        """An extension of a message."""
        found: FieldDescriptor = message.file.pool.FindExtensionByNumber(message, number)
        return found

    def FindAllExtensions(self, message: Any) -> list[FieldDescriptor]:  # noqa: N802
        """All extensions of a message."""
        found: list[FieldDescriptor] = message.file.pool.FindAllExtensions(message)
        return found

    def _first(self, method: str, name: str) -> Any:
        for pool in self._pools[:-1]:
            try:
                return getattr(pool, method)(name)
            except KeyError:
                continue
        return getattr(self._pools[-1], method)(name)
