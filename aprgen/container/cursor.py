"""A typed cursor over payload bytes: bincode 1.3's primitive types, little-endian and of fixed width.

Every read is checked against the bytes left, and every count before anything is allocated.
Knows nothing of structs; bincode.py composes it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike, NDArray

from aprgen.container.limits import DEFAULT_LIMITS, Limits
from aprgen.container.source import Bytes
from aprgen.errors import PayloadError

ITEM_BYTES = 352  # of memory, at most, for each item that is counted
NODE_BYTES = 160  # of memory while a tree is decoded, for each node; 48 of them stay

_U16 = struct.Struct("<H")
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_I32 = struct.Struct("<i")
_F32 = struct.Struct("<f")
_F64 = struct.Struct("<d")


@dataclass(frozen=True)
class Origin:
    """Where a payload's bytes can be read again later. stays: the payload itself stays in memory for that."""

    read: Callable[[int, int], Bytes]
    stays: bool


class Cursor:
    """Reads forward only.

    `field` is what is being read ("KMeans.tol"), for messages; decoders of records keep it up to date.
    `nodes_left` is what trees may still hold. `origin`: set when large parts are to be read later.
    """

    __slots__ = ("_items_left", "data", "field", "limits", "nodes_left", "origin", "position")

    def __init__(self, data: Bytes, limits: Limits = DEFAULT_LIMITS, origin: Origin | None = None) -> None:
        self.data = data
        self.position = 0
        self.field = ""
        self.limits = limits
        self.origin = origin
        self.nodes_left = limits.tree_nodes
        self._items_left = limits.payload_items

    @property
    def remaining(self) -> int:
        return len(self.data) - self.position

    def error(self, code: str, what: str, *, at: int | None = None, hint: str = "") -> PayloadError:
        """The error to raise, with the place of the bytes at fault (by default: here)."""
        place = f"byte {self.position if at is None else at} of the payload"
        return PayloadError(
            code,
            what,
            where=f"{place}, {self.field}" if self.field else place,
            hint=hint or "the file is damaged, or holds another struct; see `aprgen inspect`",
            progress=self.position if at is None else at,
        )

    def take(self, size: int) -> int:
        """Step over `size` bytes and give the position of the first."""
        start = self.position
        if size > len(self.data) - start:
            raise self.error("payload.truncated", f"{size} bytes are needed, {len(self.data) - start} are left")
        self.position = start + size
        return start

    def u8(self) -> int:
        return self.data[self.take(1)]

    def u16(self) -> int:
        return int(_U16.unpack_from(self.data, self.take(2))[0])

    def u32(self) -> int:
        return int(_U32.unpack_from(self.data, self.take(4))[0])

    def u64(self) -> int:
        return int(_U64.unpack_from(self.data, self.take(8))[0])

    def i32(self) -> int:
        return int(_I32.unpack_from(self.data, self.take(4))[0])

    def f32(self) -> float:
        """A float32 as a Python float, which holds it exactly."""
        return float(_F32.unpack_from(self.data, self.take(4))[0])

    def f64(self) -> float:
        return float(_F64.unpack_from(self.data, self.take(8))[0])

    def boolean(self) -> bool:
        start = self.take(1)
        byte = self.data[start]
        if byte > 1:
            raise self.error("payload.bool", f"a bool or option tag is {byte}, not 0 or 1", at=start)
        return byte == 1

    def count(self, min_item_bytes: int) -> int:
        """A u64 count of items of at least `min_item_bytes` each, that can fit in the bytes left."""
        start = self.position
        count = self.u64()
        # An item without bytes (an empty tuple) would make any count fit.
        if count * max(1, min_item_bytes) > self.remaining:
            raise self.error(
                "payload.count",
                f"a count of {count} items of {min_item_bytes} bytes or more, but {self.remaining} bytes are left",
                at=start,
            )
        return count

    def items(self, min_item_bytes: int) -> int:
        """A count of items that become Python objects; all of them together are limited, as objects cost memory.

        An item counts once, and once more for every 8 bytes of its smallest form: more bytes, more objects inside.
        """
        start = self.position
        count = self.count(min_item_bytes)
        self.charge(count * (1 + min_item_bytes // 8), at=start)
        return count

    def charge(self, cost: int, *, at: int | None = None) -> None:
        """Count `cost` items against the limit; for a codec whose values cost more than their bytes suggest."""
        self._items_left -= cost
        self.limits.take(cost * ITEM_BYTES, "the records of the payload", f"byte {self.position} of the payload")
        if self._items_left < 0:
            raise self.error(
                "payload.items",
                f"the payload holds more items than the limit of {self.limits.payload_items} allows",
                at=at,
                hint="raise Limits.payload_items if you trust the file",
            )

    def charge_nodes(self, count: int) -> None:
        """Count nodes of a tree against the limit, which all trees of the payload share."""
        self.nodes_left -= count
        self.limits.take(count * NODE_BYTES, "the nodes of a tree", f"byte {self.position} of the payload")
        if self.nodes_left < 0:
            raise self.error(
                "payload.tree",
                f"the trees have more nodes than the limit of {self.limits.tree_nodes}",
                hint="the file is damaged, or no model for a small device",
            )

    def string(self) -> str:
        start = self.position
        size = self.count(1)
        first = self.take(size)
        try:
            return str(self.data[first : first + size], "utf-8")
        except UnicodeDecodeError as error:
            raise self.error("payload.utf8", "a string is no UTF-8", at=start + 8 + error.start) from None

    def array(self, dtype: DTypeLike, n: int) -> NDArray[np.generic]:
        """`n` numbers as a read-only view of the payload; it may be unaligned."""
        kind = np.dtype(dtype).newbyteorder("<")
        if n * kind.itemsize > self.remaining:
            raise self.error("payload.truncated", f"{n} numbers of {kind.itemsize} bytes, {self.remaining} bytes left")
        array: NDArray[np.generic] = np.frombuffer(self.data, dtype=kind, count=n, offset=self.position)
        self.position += n * kind.itemsize
        if self.origin is not None and not self.origin.stays:  # a view would keep the payload
            self.limits.take(array.nbytes, "numbers of the payload", f"byte {self.position} of the payload")
            array = array.copy()
            array.flags.writeable = False
        return array

    def finish(self) -> None:
        """Demand that every byte was used: a shorter struct must not pass as a longer one."""
        if self.remaining:
            self.field = ""
            raise self.error("payload.trailing", f"{self.remaining} bytes are left over after the struct")
