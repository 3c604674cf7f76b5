"""How long a platform needs to load the .apr file itself, by the format's formula: an estimate, never a bound.

Knows the formula's terms, the platforms of targets/load, and which model would still fit into a budget. The rates are
what a platform's file states; nothing here is measured, and none of it is part of the bounds on inference.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from difflib import get_close_matches
from fractions import Fraction
from pathlib import Path

from aprgen.container import AprFile, AprV2File
from aprgen.errors import UnsupportedError, UsageError
from aprgen.resources import folder
from aprgen.wcet.settings import Table, parse_toml, read_toml

CODE = "load.platform"
HEADER_US = Fraction(1)  # the formula's constant for reading the header
MARGIN = Fraction(11, 10)
_MIB = 1 << 20
_SECOND = 1_000_000
_KEYS = (
    "name, summary, source, read_mib_per_s, decompress_mib_per_s, crc_mib_per_s, ed25519_us, decode_bytes_per_s, "
    "policy_margin"
)


@dataclass(frozen=True)
class Platform:
    """Rates as the file states them. margin: factor on the sum, a policy and not a proof; sha256: of the file."""

    name: str
    summary: str
    source: str
    read_mib_per_s: Fraction
    decompress_mib_per_s: Fraction
    crc_mib_per_s: Fraction
    ed25519_us: Fraction
    decode_bytes_per_s: Fraction
    margin: Fraction
    sha256: str


@dataclass(frozen=True)
class FileSize:
    """What the formula takes of a file: bytes of the payload as stored and unpacked, and whether it is signed."""

    stored_bytes: int
    unpacked_bytes: int
    signed: bool


@dataclass(frozen=True)
class Term:
    """One summand, before the margin."""

    name: str
    us: float
    formula: str


@dataclass(frozen=True)
class LoadTime:
    """An estimate. total_us: rounded up to whole microseconds, with the margin. largest_unpacked_bytes: of a model that
    packs as well as this one and still fits into the budget; None without a budget, 0 when none fits."""

    status: str
    platform: str
    summary: str
    source: str
    platform_sha256: str
    stored_bytes: int
    unpacked_bytes: int
    signed: bool
    terms: tuple[Term, ...]
    policy_margin: float
    total_us: int
    budget_us: float | None
    within_budget: bool | None
    largest_unpacked_bytes: int | None
    jitter_us: float | None
    ring_bytes: int | None  # of a stream's buffer that never runs over while its reader pauses for the jitter


def platform_names() -> tuple[str, ...]:
    """The platforms that come with aprgen, sorted."""
    return tuple(sorted(path.stem for path in (folder("targets") / "load").glob("*.toml")))


def load_platform(name_or_path: str) -> Platform:
    """The platform of that name (AUTOMOTIVE_S32G is automotive-s32g), or of that TOML file."""
    if name_or_path.endswith(".toml") or "/" in name_or_path:
        path = Path(name_or_path)
        return _platform(read_toml(path, CODE), path.name, hashlib.sha256(path.read_bytes()).hexdigest())
    wanted = name_or_path.strip().lower().replace("_", "-")
    names = platform_names()
    if wanted not in names:
        near = get_close_matches(wanted, names, n=2, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}; or give a TOML file"
        raise UnsupportedError(CODE, f"no platform is called {name_or_path!r}", where="--load", hint=hint)
    data = (folder("targets") / "load" / f"{wanted}.toml").read_bytes()
    where = f"load/{wanted}.toml"
    return _platform(parse_toml(data, where, CODE), where, hashlib.sha256(data).hexdigest())


def _platform(values: dict[str, object], where: str, digest: str) -> Platform:
    table = Table(values, where, CODE)
    platform = Platform(
        name=table.text("name"),
        summary=table.text("summary"),
        source=table.text("source"),
        read_mib_per_s=table.number("read_mib_per_s", above=True),
        decompress_mib_per_s=table.number("decompress_mib_per_s", above=True),
        crc_mib_per_s=table.number("crc_mib_per_s", above=True),
        ed25519_us=table.number("ed25519_us"),
        decode_bytes_per_s=table.number("decode_bytes_per_s", above=True),
        margin=table.number("policy_margin", MARGIN, above=True),
        sha256=digest,
    )
    table.end(_KEYS)
    if platform.margin < 1:
        raise table.wrong("policy_margin", f"is {float(platform.margin):g}, less than 1", "a margin only adds time")
    return platform


def file_size(container: AprFile | AprV2File) -> FileSize:
    """Of a file that was read. The formula is that of format version 1."""
    if isinstance(container, AprV2File):
        raise UnsupportedError(
            "load.format", "the formula for load times is that of .apr version 1, this file is version 2",
            where="the file's header", hint="leave out --load, or convert the model to version 1",
        )  # fmt: skip
    header = container.header
    return FileSize(header.payload_size, header.uncompressed_size, header.signed)


def load_time(
    size: FileSize, platform: Platform, budget_us: Fraction | None = None, jitter_us: Fraction | None = None
) -> LoadTime:
    """The formula's terms and sum, whether they fit into the budget, and the ring buffer for the jitter."""
    terms = _terms(size, platform)
    total = math.ceil(platform.margin * sum((us for _, us, _ in terms), Fraction(0)))
    return LoadTime(
        status="estimate",
        platform=platform.name,
        summary=platform.summary,
        source=platform.source,
        platform_sha256=platform.sha256,
        stored_bytes=size.stored_bytes,
        unpacked_bytes=size.unpacked_bytes,
        signed=size.signed,
        terms=tuple(Term(name, float(us), formula) for name, us, formula in terms),
        policy_margin=float(platform.margin),
        total_us=total,
        budget_us=None if budget_us is None else float(budget_us),
        within_budget=None if budget_us is None else total <= budget_us,
        largest_unpacked_bytes=None if budget_us is None else _largest(size, platform, budget_us),
        jitter_us=None if jitter_us is None else float(jitter_us),
        ring_bytes=None if jitter_us is None else ring_bytes(platform, jitter_us),
    )


def ring_bytes(platform: Platform, jitter_us: Fraction) -> int:
    """What arrives at the read rate during the jitter, with the margin, as a power of two; at least one byte."""
    arriving = math.ceil(platform.margin * platform.read_mib_per_s * _MIB * jitter_us / _SECOND)
    return 1 << (max(1, arriving) - 1).bit_length()


def _terms(size: FileSize, platform: Platform) -> list[tuple[str, Fraction, str]]:
    stored, unpacked = Fraction(size.stored_bytes, _MIB), Fraction(size.unpacked_bytes, _MIB)
    terms = [
        ("header", HEADER_US, "constant"),
        ("read", stored / platform.read_mib_per_s * _SECOND, "stored MiB / read rate"),
        ("decompress", unpacked / platform.decompress_mib_per_s * _SECOND, "unpacked MiB / decompression rate"),
        ("checksum", stored / platform.crc_mib_per_s * _SECOND, "stored MiB / CRC-32 rate"),
        ("decode", size.unpacked_bytes / platform.decode_bytes_per_s * _SECOND, "unpacked bytes / decoding rate"),
    ]
    if size.signed:
        terms.insert(4, ("signature", platform.ed25519_us, "constant, one Ed25519 verification"))
    return terms


def _largest(size: FileSize, platform: Platform, budget_us: Fraction) -> int:
    """Unpacked bytes at the same ratio of stored to unpacked; the estimate is a whole number of microseconds."""
    fixed = HEADER_US + (platform.ed25519_us if size.signed else 0)
    left = Fraction(math.floor(budget_us)) / platform.margin - fixed
    if left < 0 or size.unpacked_bytes == 0:
        return 0
    packed = Fraction(size.stored_bytes, size.unpacked_bytes)
    per_byte = (
        packed * (1 / platform.read_mib_per_s + 1 / platform.crc_mib_per_s) + 1 / platform.decompress_mib_per_s
    ) * Fraction(_SECOND, _MIB) + _SECOND / platform.decode_bytes_per_s
    return math.floor(left / per_byte)


def budget_of(text_us: float, option: str = "--load-budget-us") -> Fraction:
    """Microseconds from the command line, as they were written."""
    if not math.isfinite(text_us) or text_us <= 0:
        raise UsageError("load.budget", f"{text_us} is no time", where=option, hint="give microseconds above 0")
    return Fraction(repr(text_us))
