"""Seeds for fuzzing: payloads of every fixture, copies in which one field of one structure has a telling value, and
files of every compression, one of them signed.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from aprgen.container import write_v1
from aprgen.container.algorithms import SecretKey
from aprgen.container.protected import sign_v1
from aprgen.container.suites import STANDARD
from aprgen.native.structures import ELEMENTS, HEAD, SECTION
from tests.examples import COMPILE, loaded
from tests.native.payloads import native_file, native_payload, sections

TELLING = (0, 1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF)


def seeds() -> Iterator[tuple[str, bytes]]:
    for name in COMPILE:
        yield name, native_payload(name)


def places(payload: bytes) -> list[tuple[int, int]]:
    """Offset and size of every number in head, section table, and sections of structures."""
    found = [(int(HEAD.fields[name][1]), 4) for name in HEAD.names or () if name not in ("magic",)]  # type: ignore[index]
    table = sections(payload)
    structures = [(HEAD.itemsize, SECTION, len(table))]
    structures += [
        (int(entry["offset"]), ELEMENTS[int(entry["element"])], int(entry["count"]))
        for entry in table
        if ELEMENTS[int(entry["element"])].fields is not None
    ]
    for offset, dtype, count in structures:
        for index in range(count):
            at = offset + index * dtype.itemsize
            found += [(at + int(field[1]), min(4, field[0].base.itemsize)) for field in (dtype.fields or {}).values()]
    for entry in table:  # integers that index others
        dtype = ELEMENTS[int(entry["element"])]
        if dtype.fields is None and dtype.kind in "ui":
            step = dtype.itemsize
            found += [(int(entry["offset"]) + step * index, step) for index in range(min(int(entry["count"]), 40))]
    return found


def sweep(name: str) -> Iterator[bytes]:
    """Every number of a fixture's structures, each with every telling value."""
    payload = native_payload(name)
    for at, size in places(payload):
        for value in TELLING:
            yield payload[:at] + (value & (256**size - 1)).to_bytes(size, "little") + payload[at + size :]


def mutations(seed: int, count: int) -> Iterator[bytes]:
    """One to three fields changed in a payload chosen at random; the same on every machine."""
    chance = random.Random(seed)
    names = [name for name, _ in seeds()]
    every = {name: places(payload) for name, payload in seeds()}
    for _ in range(count):
        name = names[int(chance.random() * len(names))]
        changed = bytearray(native_payload(name))
        for _ in range(1 + int(chance.random() * 3)):
            at, size = every[name][int(chance.random() * len(every[name]))]
            value = TELLING[int(chance.random() * len(TELLING))]
            if chance.random() < 0.3:
                step = 1 if chance.random() < 0.5 else -1
                value = (int.from_bytes(changed[at : at + size], "little") + step) % 2**32
            changed[at : at + size] = (value & (256**size - 1)).to_bytes(size, "little")
        yield bytes(changed)


def write(folder: Path, count: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, payload in seeds():
        (folder / name).write_bytes(payload)
    for name, data in files():
        (folder / f"file-{name}").write_bytes(data)
    for index, payload in enumerate(mutations(1, count)):
        (folder / f"changed{index}").write_bytes(payload)


def all_in_one(payloads: Iterator[bytes]) -> bytes:
    """Each behind its length, for a program that reads many."""
    return b"".join(np.uint32(len(one)).tobytes() + one for one in payloads)


def known() -> tuple[bytes, str]:
    """A signed file, the same each time, and the C that knows its key and its message."""
    key = SecretKey(STANDARD, "sign", bytes(range(32)))
    data = sign_v1(native_file("linreg", keep_record=False), key)
    digest = hashlib.sha512(data[:-100]).digest()
    arrays = (("known_key[1][32]", [data[-36:-4]]), ("known_message[64]", digest))
    lines = [f"static const uint8_t {name} = {{{_listed(value)}}};" for name, value in arrays]
    return data, "\n".join((*lines, ""))


def _listed(value: bytes | list[bytes]) -> str:
    return ", ".join(f"{{{_listed(one)}}}" if isinstance(one, bytes) else str(one) for one in value)


def files() -> Iterator[tuple[str, bytes]]:
    """Small files: plain, zstd at two levels, LZ4, with and without a record, unsigned and signed."""
    yield "signed", known()[0]
    for name in ("linreg", "rfc", "logreg_bc", "kmeans"):
        for method in range(4):
            metadata = loaded(name).container.metadata  # type: ignore[union-attr]
            yield f"{name}-{method}", write_v1(4, native_payload(name), metadata, method=method, native=True)  # type: ignore[arg-type]
