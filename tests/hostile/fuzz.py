"""Mutated files, endlessly: blind (bits, bytes, cuts, splices) and aware of the structure (fields, blocks, envelopes).

    python -m tests.hostile.fuzz --files 200000

reads that many, each as a reader without keys and as the one it is meant for. Every file is opened or refused with a
typed error, within 2 s, and of a signed or bound file no changed form is taken. The file of --seed and number N is
always mutated alike.
"""

from __future__ import annotations

import argparse
import random
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aprgen.container import NO_ACCESS, Access, inspect_v1
from aprgen.container.header import ENCRYPTED, HEADER_BYTES, SIGNED
from aprgen.container.suites import STANDARD
from aprgen.errors import AprgenError
from aprgen.loaded import Loaded, check_model, load_model
from tests.hostile.bytesmith import repaired, with_crc
from tests.hostile.protectedfiles import Protected, protected
from tests.recorded import fixtures

SECONDS = 2.0
LARGEST = 40_000  # bytes: what is larger teaches nothing more, and slower
STATUSES = (3, 4, 5)
PASSWORD_ONE_IN = 25
NUMBERS = (0, 1, 2, 3, 4, 7, 8, 15, 16, 27, 28, 31, 32, 43, 44, 52, 64, 67, 68, 95, 96, 97, 127, 128, 192, 255, 256,
           1087, 1088, 1131, 1132, 1163, 1164, 1184, 1952, 3309, 5261, 5357, 0x7FFF, 0xFFFF, 0x10000, 19_456, 65_536,
           131_072, 131_073, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)  # fmt: skip
KIB, PASSES, LANES = (0, 1, 8, 60, 7_168, 19_456, 65_536), (0, 1, 2, 3, 8, 40_000), (0, 1, 4, 8, 9)

Mutation = Callable[[random.Random, bytes, Sequence[bytes]], bytes]


@dataclass
class Tally:
    files: int = 0
    opened: int = 0
    slowest: float = 0.0
    codes: Counter[str] = field(default_factory=Counter)


# -- blind --


def flip_bits(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    changed = bytearray(data)
    for _bit in range(rng.choice((1, 1, 1, 2, 8))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def overwrite(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    at, size = rng.randrange(len(data)), rng.choice((1, 2, 4, 8, 16, 64))
    filling = rng.choice((bytes(size), b"\xff" * size, rng.randbytes(size)))
    return data[:at] + filling + data[at + size :]


def cut_out(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.choice((1, 4, 12, 96, rng.randrange(1, len(data) + 1))) :]


def repeat(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start, end = sorted(rng.randrange(len(data)) for _end in range(2))
    return data[:end] + data[start:end] + data[end:]


def cut_end(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    return data[: rng.randrange(len(data))]


def splice(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    other = rng.choice(others)
    return data[: rng.randrange(len(data))] + other[rng.randrange(len(other)) :]


# -- aware of the structure --


def set_header(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """One field of a v1 header."""
    at, form = rng.choice(
        ((4, "<B"), (6, "<H"), (8, "<I"), (12, "<I"), (16, "<I"), (20, "<B"), (21, "<B"), (22, "<B"), (23, "<B"))
    )
    size = struct.calcsize(form)
    if len(data) < HEADER_BYTES:
        return data
    old = struct.unpack_from(form, data, at)[0]
    value = rng.choice((rng.choice(NUMBERS), old + 1, old - 1, old ^ (1 << rng.randrange(8)), rng.randrange(6)))
    return data[:at] + struct.pack(form, value % (1 << 8 * size)) + data[at + size :]


def toggle_protection(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """The flags of signature and encryption, and the suite."""
    if len(data) < HEADER_BYTES:
        return data
    flags = data[21] ^ rng.choice((SIGNED, ENCRYPTED, SIGNED | ENCRYPTED, 0))
    suite = rng.choice((0, 1, 2, 3, 4, 0xFF, data[23], data[23]))
    return data[:21] + bytes((flags, data[22], suite)) + data[24:]


def move_end_of_payload(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """The payload grows or shrinks, and its size with it."""
    if len(data) < HEADER_BYTES:
        return data
    metadata, payload = struct.unpack_from("<II", data, 8)
    end = min(len(data) - 4, HEADER_BYTES + metadata + payload)
    change = rng.choice((1, 4, 16, 96, 5261, rng.randrange(1, 200)))
    if rng.random() < 0.5:
        filling = rng.randbytes(change)
        return data[:12] + struct.pack("<I", (payload + change) % (1 << 32)) + data[16:end] + filling + data[end:]
    change = min(change, payload)
    return data[:12] + struct.pack("<I", payload - change) + data[16 : max(16, end - change)] + data[end:]


def set_envelope(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """A byte or a number in the first 60 bytes of the payload."""
    if len(data) < HEADER_BYTES + 70:
        return data
    start = HEADER_BYTES + struct.unpack_from("<I", data, 8)[0]
    if start + 70 > len(data):
        return data
    at = start + rng.randrange(60)
    if rng.random() < 0.5:
        return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
    at = start + rng.choice((4, 8, 12, 16))
    return data[:at] + struct.pack("<I", rng.choice(NUMBERS)) + data[at + 4 :]


def set_costs(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """What Argon2id is to cost, where an envelope states it: each number sensible by itself, or nearly."""
    at = HEADER_BYTES + struct.unpack_from("<I", data, 8)[0] + 8 if len(data) >= HEADER_BYTES else len(data)
    if at + 12 > len(data):
        return data
    costs = rng.choice(KIB), rng.choice(PASSES), rng.choice(LANES)
    return data[:at] + struct.pack("<III", *costs) + data[at + 12 :]


def other_block(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """The signature block, or as much as one has, of another file."""
    other, size = rng.choice(others), rng.choice((96, 193, 512, 5261, 5357))
    return data[: max(HEADER_BYTES, len(data) - size - 4)] + other[max(0, len(other) - size - 4) :]


def other_payload(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Header and metadata of one file, payload and what follows of another."""
    other = rng.choice(others)
    if min(len(data), len(other)) < HEADER_BYTES:
        return data
    start, begin = (HEADER_BYTES + struct.unpack_from("<I", one, 8)[0] for one in (data, other))
    return data[:12] + other[12:16] + data[16:start] + other[begin:]


BLIND: tuple[Mutation, ...] = (flip_bits, overwrite, cut_out, repeat, cut_end, splice)
AWARE: tuple[Mutation, ...] = (
    set_header, toggle_protection, move_end_of_payload, set_envelope, set_costs, other_block, other_payload,
)  # fmt: skip


def mutated(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """One to three mutations; most get a valid checksum, as without it nothing else is reached."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        data = rng.choice(AWARE if rng.random() < 0.5 else BLIND)(rng, data, others) or b"\0"
    if len(data) > 4 and rng.random() < 0.9:
        return repaired(data) if rng.random() < 0.9 else with_crc(data)
    return data


# -- what must hold --


def read_once(data: bytes, access: Access, name: str, tally: Tally) -> Loaded | None:
    """The model, sensible or not, or None when the file is refused as it should be; AssertionError otherwise."""
    started = time.process_time()
    found: Loaded | None = None
    refused: AprgenError | None = None
    try:
        found = load_model(data, access=access)
        check_model(found.model)
    except AprgenError as error:
        refused = error
    took = time.process_time() - started
    tally.slowest = max(tally.slowest, took)
    assert took < SECONDS, (name, took)
    if refused is None:
        tally.opened += 1
        return found
    assert refused.exit_status in STATUSES, (name, refused)
    assert refused.where, (name, refused)
    assert refused.hint, (name, refused)
    assert len(str(refused).splitlines()) == 3, (name, refused)
    tally.codes[refused.code] += 1
    return found


def check_protected(one: Protected, data: bytes, name: str, tally: Tally) -> None:
    """Whoever has the keys takes no changed file: any byte of a signed one, head and payload of a bound one."""
    found = read_once(data, one.access, name, tally)
    if found is None or data == one.data:
        return
    assert not one.signed, f"{name}: a changed signed file was taken"
    if one.suite is not STANDARD:
        assert _bound_part(data) == _bound_part(one.data), f"{name}: a changed encrypted file was taken"


def _bound_part(data: bytes) -> bytes:
    header = inspect_v1(data).header
    assert header is not None
    return data[:21] + bytes([data[21] & ~SIGNED]) + data[22 : header.payload_end]


def seeds() -> list[bytes]:
    """Every small fixture."""
    return [data for path in fixtures() if len(data := path.read_bytes()) <= LARGEST]


def fuzz(files: int, seed: int, keep: Path | None = None, progress: Callable[[int], None] = lambda _: None) -> Tally:
    """Half of the files come from the fixtures, half from protected ones. A file that breaks a rule is kept."""
    tally, plain, closed = Tally(), seeds(), protected()
    others = [*plain, *(one.data for one in closed)]
    fast = [one for one in closed if not one.slow]
    for number in range(files):
        rng = random.Random(f"{seed} {number}")
        name = f"file {number} of seed {seed}"
        pool = closed if rng.randrange(PASSWORD_ONE_IN) == 0 else fast
        one = rng.choice(pool)
        source = rng.choice(plain) if number % 2 else one.data
        data = mutated(rng, source, others)
        try:
            read_once(data, NO_ACCESS, name, tally)
            check_protected(one, data, name, tally)
        except BaseException:
            if keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{seed}_{number}.apr").write_bytes(data)
            raise
        tally.files += 1
        progress(number)
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"), help="folder for a file that breaks a rule")
    given = parser.parse_args()
    started = time.perf_counter()

    def progress(number: int) -> None:
        if number % 10_000 == 0:
            print(f"{number} files, {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)

    tally = fuzz(given.files, given.seed, given.keep, progress)
    seconds = time.perf_counter() - started
    print(f"{tally.files} files in {seconds:.0f} s, {tally.opened} readings opened, slowest {tally.slowest:.2f} s")
    for code, count in tally.codes.most_common():
        print(f"  {count:8} {code}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
