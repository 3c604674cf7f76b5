"""MessagePack as aprender's metadata uses it, through the library `msgpack`, with what a stranger's file asks for.

Adds to the library: no repeated keys, nothing that JSON has no form for (bytes, extension types, timestamps), bounds
on values and depth, and errors at a byte. float32 and float64 are read alike; Float32 says which one to write.
Knows nothing of the metadata's fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn, TypeAlias

import msgpack

from aprgen.container.limits import DEFAULT_LIMITS, Limits
from aprgen.errors import ContainerError


class Float32(float):
    """A float that is written in four bytes."""


Value: TypeAlias = "bool | int | float | str | tuple[Value, ...] | Mapping[str, Value] | None"

_PLAIN = frozenset((type(None), bool, int, float, str, tuple, dict))


class _RefusedError(ValueError):
    """What the hooks refuse; `unpack` adds the place."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.hint = hint


def unpack(data: bytes, base: int = 0, limits: Limits = DEFAULT_LIMITS) -> tuple[Value, int]:
    """The first value in `data`, and how many bytes it took. `base` is where the data lies in the file.

    The place of an error is where the library stopped: at the end of the bytes at fault, or of what holds them.
    """
    items_left = limits.metadata_items - 1

    def admit(values: Sequence[object], count: int) -> None:
        nonlocal items_left
        items_left -= count
        if items_left < 0:
            raise _RefusedError(
                f"more than {limits.metadata_items} values", "raise Limits.metadata_items if you trust the file"
            )
        if not _PLAIN.issuperset(map(type, values)):
            raise _RefusedError("bytes or a timestamp, which JSON has no form for")

    def make_map(pairs: list[tuple[object, object]]) -> dict[object, object]:
        made: dict[object, object] = {}
        if not pairs:
            return made
        admit([value for _, value in pairs], 2 * len(pairs))
        for key, value in pairs:
            if not isinstance(key, str):
                raise _RefusedError("a map key is no string")
            if key in made:
                raise _RefusedError(f"the key {key[:40]!r} occurs twice in one map")
            made[key] = value
        return made

    def make_tuple(values: tuple[object, ...]) -> tuple[object, ...]:
        admit(values, len(values))
        return values

    def no_extension(code: int, _: bytes) -> NoReturn:
        raise _RefusedError(f"the extension type {code}, which JSON has no form for")

    def reader() -> msgpack.Unpacker:
        made = msgpack.Unpacker(
            raw=False,
            strict_map_key=False,  # make_map is stricter: the library lets bytes pass
            use_list=False,
            object_pairs_hook=make_map,
            list_hook=make_tuple,
            ext_hook=no_extension,
            max_buffer_size=max(1, len(data)),  # 0 would mean 4 GiB
            max_str_len=len(data),
            max_bin_len=len(data),
            max_array_len=len(data),
            max_map_len=len(data),
            max_ext_len=len(data),
        )
        made.feed(data)
        return made

    def fail(what: str, at: int, hint: str = "") -> ContainerError:
        return ContainerError(
            "container.metadata",
            what,
            where=f"byte {base + at}, in the metadata",
            hint=hint or "the metadata is damaged; export the model again",
        )

    current = reader()
    try:
        # First without making values: the library reserves room for as many entries as an array or map claims, at
        # every level, and this pass shows that the bytes for all of them exist.
        current.skip()
        used = current.tell()
        current = reader()
        value = current.unpack()
        admit((value,), 0)
    except msgpack.OutOfData:
        raise fail("the metadata ends inside a value", current.tell()) from None
    except msgpack.StackError:
        raise fail(f"values are nested deeper than {limits.metadata_depth}", current.tell()) from None
    except msgpack.FormatError:
        raise fail("0xc1 marks nothing at all", current.tell()) from None
    except UnicodeDecodeError:
        raise fail("a string is no UTF-8", current.tell()) from None
    except _RefusedError as refused:
        raise fail(str(refused), current.tell(), refused.hint) from None
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException) as error:
        raise fail(f"the metadata cannot be read: {error}", current.tell()) from None
    if _deeper_than(limits.metadata_depth, value):
        raise fail(f"values are nested deeper than {limits.metadata_depth}", used)
    return value, used


def _deeper_than(levels: int, value: Value) -> bool:
    """Whether arrays and maps lie in each other on more levels; level by level, as recursion has a limit too."""
    holders = [value] if isinstance(value, tuple | dict) else []
    while holders and levels:
        levels -= 1
        holders = [
            inner
            for each in holders
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, tuple | dict)
        ]
    return bool(holders)


def pack(value: Value) -> bytes:
    """Shortest integers and lengths, counts always stated, as aprender's writer does."""
    double, single = msgpack.Packer(), msgpack.Packer(use_single_float=True)

    def write(item: Value) -> bytes:
        if isinstance(item, tuple):
            head: bytes = double.pack_array_header(len(item))
            return head + b"".join([write(each) for each in item])
        if isinstance(item, Mapping):
            head = double.pack_map_header(len(item))
            return head + b"".join([write(inner) for pair in item.items() for inner in pair])
        packed: bytes = (single if isinstance(item, Float32) else double).pack(item)
        return packed

    return write(value)
