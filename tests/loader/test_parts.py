"""Other people's C in the device's loader: signatures, zstd and LZ4, on this machine and on emulated cores."""

from __future__ import annotations

import ctypes
import hashlib
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import lz4.block
import msgpack
import numpy as np
import pytest
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from aprgen.cli import main
from aprgen.container import write_v1
from aprgen.container.algorithms import new_key
from aprgen.container.protected import sign_v1
from aprgen.container.suites import STANDARD
from aprgen.device_loader import plan_loader
from aprgen.errors import ToolchainError
from aprgen.native import read_native
from aprgen.process import cache_folder
from aprgen.rows import random_rows
from aprgen.target import load_target
from aprgen.third_party import parts, taken
from aprgen.toolchain import Unit, compile_units, find_toolchain, link
from tests.differential.compiled import compile_c
from tests.examples import loaded
from tests.hostile.bytesmith import patched
from tests.loader.archives import write_loader
from tests.loader.board import STATUS, Trust, build
from tests.loader.library import LOAD, VIEW, Loader, aligned
from tests.loader.test_rows import agrees
from tests.native.payloads import native_file, native_payload

HERE = Path(__file__).parent
CONTEXT = 34816  # APR_ZSTD_CONTEXT_BYTES
ORDER = 2**252 + 27742317777372353535851937790883648493

# RFC 8032, section 7.1, tests 1 to 3: secret key, message.
VECTORS = (
    ("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
     "d25bf5f0595bbe24655141438e7a100b"),
    ("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", "72",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
     "387b2eaeb4302aeeb00d291612bb0c00"),
    ("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7", "af82",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
     "4a7c15e9716ed28dc027beceea1ec40a"),
)  # fmt: skip


class Parts(Loader):
    """The loader with all parts, and each part alone."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._c = library
        self._bytes = None

    def load_signed(self, data: bytes, key: bytes | None, memory: int = CONTEXT, requires: bool = True) -> str:
        self._bytes = aligned(data)
        status = self._c.parts_load(
            ctypes.c_void_p(self._bytes.ctypes.data), ctypes.c_size_t(len(data)), key, ctypes.c_size_t(memory),
            ctypes.c_uint32(requires),
        )  # fmt: skip
        word = LOAD[status // 100]
        return f"{word}:{VIEW[status % 100]}" if word == "PAYLOAD" else word

    def verify(self, message: bytes, signature: bytes, key: bytes) -> bool:
        return bool(self._c.parts_verify(message, ctypes.c_size_t(len(message)), signature, key))

    def number(self, metadata: bytes, outer: str = "custom", key: str = "version") -> int:
        self._c.parts_number.restype = ctypes.c_int64
        return int(self._c.parts_number(metadata, ctypes.c_size_t(len(metadata)), outer.encode(), key.encode()))

    def sha512(self, data: bytes, first: int) -> bytes:
        digest = ctypes.create_string_buffer(64)
        self._c.parts_sha512(data, ctypes.c_size_t(len(data)), ctypes.c_size_t(first), digest)
        return digest.raw

    def unpacked(self, how: str, stored: bytes, size: int, *more: int) -> bytes | None:
        out = ctypes.create_string_buffer(size + 1)
        sizes = [ctypes.c_size_t(one) for one in more]
        call = getattr(self._c, f"parts_{how}")
        done = call(stored, ctypes.c_size_t(len(stored)), out, ctypes.c_size_t(size), *sizes)
        return out.raw[:size] if done == 1 else None

    def window(self, stored: bytes, size: int) -> int:
        return int(self._c.parts_window(stored, ctypes.c_size_t(len(stored)), ctypes.c_size_t(size)))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    work = tmp_path_factory.mktemp("parts")
    target = load_target("host")
    toolchain = find_toolchain(target, "gcc")
    plan = plan_loader(target, tuple(parts()))
    write_loader(plan, work)
    units = [
        Unit(work / one.path, work / f"{n}.o", ("-fPIC", *one.flags), tuple(work / name for name in one.include))
        for n, one in enumerate(plan.units)
    ]
    calls = Unit(HERE / "parts.c", work / "calls.o", ("-fPIC", *plan.defines), (HERE, work))
    compile_units(toolchain, [*units, calls], work)
    link(toolchain, [unit.out for unit in (*units, calls)], work / "parts.so", flags=("-shared",), work=work)
    return Parts(ctypes.CDLL(str(work / "parts.so")))


def test_sha512(built: Parts) -> None:
    """Every length around the block's end, in two pieces, as hashlib."""
    data = np.random.default_rng(3).bytes(400)

    for n in (*range(20), *range(100, 140), *range(230, 260), 400):
        assert hashlib.sha512(data[:n]).digest() == built.sha512(data[:n], n // 3), n


@pytest.mark.parametrize(("secret", "message", "public", "signature"), VECTORS)
def test_vectors_of_the_standard(built: Parts, secret: str, message: str, public: str, signature: str) -> None:
    """Signatures of RFC 8032 hold, and none of them with a bit changed in message, signature or key."""
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret)).public_key()
    text, signed, known = bytes.fromhex(message), bytes.fromhex(signature), bytes.fromhex(public)

    assert key.public_bytes(Encoding.Raw, PublicFormat.Raw) == known
    assert built.verify(text, signed, known)
    assert not built.verify(text + b"\0", signed, known)
    for bit in range(0, 512, 17):
        changed = bytearray(signed)
        changed[bit // 8] ^= 1 << (bit % 8)
        assert not built.verify(text, bytes(changed), known), bit
    for bit in range(0, 256, 13):
        changed = bytearray(known)
        changed[bit // 8] ^= 1 << (bit % 8)
        assert not built.verify(text, signed, bytes(changed)), bit


def test_signatures_of_every_length(built: Parts) -> None:
    """Messages of many lengths, signed by another implementation with other keys."""
    for n in range(0, 300, 7):
        secret = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(bytes([n % 256, n // 256])).digest())
        message = np.random.default_rng(n).bytes(n)
        key = secret.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        assert built.verify(message, secret.sign(message), key), n


def test_what_only_looks_like_a_signature(built: Parts) -> None:
    """A scalar that is not reduced, and keys of small order, under which anything may seem signed."""
    secret = Ed25519PrivateKey.from_private_bytes(bytes(32))
    key, signed = secret.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw), secret.sign(b"m")
    longer = (int.from_bytes(signed[32:], "little") + ORDER).to_bytes(32, "little")
    neutral = bytes([1]) + bytes(31)
    small = [(y | sign << 255).to_bytes(32, "little") for y in (0, 1, 2**255 - 20, 2**255 - 19, 2**255 - 18)
             for sign in (0, 1)]  # fmt: skip
    small += [bytes.fromhex(text) for text in (
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    )]  # fmt: skip

    assert built.verify(b"m", signed, key)
    assert not built.verify(b"m", signed[:32] + longer, key)
    assert [one.hex() for one in small if built.verify(b"m", neutral + bytes(32), one)] == []


def payload(size: int) -> bytes:
    """Like tables: repeated, but not only."""
    chance = np.random.default_rng(size)
    rising = np.arange(size, dtype=np.uint64).astype(np.uint8) // 64
    return (chance.integers(0, 12, size).astype(np.uint8) + rising).tobytes()


@pytest.mark.parametrize("level", [-5, 1, 3, 9, 19, 22])
def test_zstd_of_every_level(built: Parts, level: int) -> None:
    """What the library packs is unpacked, in its own memory and piece by piece through the smallest window."""
    for size in (1, 100, 5_000, 200_000):
        data = payload(size)
        packer = zstandard.ZstdCompressor(level=level, write_checksum=size == 5_000, write_content_size=size != 100)
        stored = packer.compress(data)
        window = built.window(stored[:18], len(data))

        assert data == built.unpacked("zstd", stored, size, CONTEXT)
        assert 0 < window <= size + 131072 + 64
        assert data == built.unpacked("pieces", stored, size, window)
        assert built.unpacked("pieces", stored, size, window - 1) is None


def test_a_small_window_for_much(built: Parts) -> None:
    """A frame that was packed with a window of 1 KiB goes through less than 4 KiB of memory."""
    data = payload(300_000)
    settings = zstandard.ZstdCompressionParameters.from_level(9, window_log=10)
    stored = zstandard.ZstdCompressor(compression_params=settings).compress(data)

    assert built.window(stored[:18], len(data)) < 4 * 1024
    assert data == built.unpacked("pieces", stored, len(data), built.window(stored, len(data)))


def test_zstd_that_is_refused(built: Parts) -> None:
    """Cut, longer, of another size, twice, a frame to skip, or with too little memory."""
    data = payload(5_000)
    stored = zstandard.ZstdCompressor(level=3).compress(data)
    unsized = zstandard.ZstdCompressor(write_content_size=False).compress(data)
    skipped = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"
    wrong = [(stored[:-1], 5_000), (stored[:3], 5_000), (b"", 0), (stored + b"\0", 5_000), (stored + stored, 10_000),
             (skipped + stored, 5_000), (stored + skipped, 5_000), (skipped, 0), (unsized, 4_999),
             (unsized, 5_001), (unsized[:-1], 5_000), (unsized + unsized, 10_000), (stored, 4_999),
             (stored, 5_001)]  # fmt: skip

    assert built.unpacked("zstd", stored, 5_000, built._c.parts_context(0)) == data
    assert built.unpacked("zstd", stored, 5_000, built._c.parts_context(0) - 1) is None
    for bytes_, size in wrong:
        assert built.unpacked("zstd", bytes_, size, CONTEXT) is None, (len(bytes_), size)
        assert built.unpacked("pieces", bytes_, size, 200_000) is None, (len(bytes_), size)


def test_the_context_is_as_large_as_promised(built: Parts) -> None:
    """The macro, which firmware reserves, holds what the decoder asks for here, where pointers take 8 bytes."""
    assert built._c.parts_context(0) <= built._c.parts_context(1) == CONTEXT


def test_lz4(built: Parts) -> None:
    """Raw blocks, exactly; cut, longer or of another size they are refused."""
    for size in (1, 64, 5_000, 200_000):
        data = payload(size)
        stored = lz4.block.compress(data, store_size=False)
        assert data == built.unpacked("lz4", stored, size)
        assert built.unpacked("lz4", stored[:-1], size) is None
        assert built.unpacked("lz4", stored + b"\0", size) is None
        assert built.unpacked("lz4", stored, size + 1) is None
        assert built.unpacked("lz4", stored, size - 1) is None


DEEP: object = {"a": [{"b": [[["custom", {"version": 9}]]]}]}


@pytest.mark.parametrize("value", [0, 1, 127, 128, 255, 256, 65535, 65536, 2**32 - 1])
def test_numbers_of_metadata(built: Parts, value: int) -> None:
    """A number of any width, behind whatever else a map may hold, and not the one of another map."""
    rest = {"x": DEEP, "f": 1.5, "n": None, "t": True, "m": -70000, "b": b"\xc1" * 300, "e": msgpack.ExtType(5, b"abc"),
            "w": "u" * 70000, "i": list(range(20)), "version": 3}  # fmt: skip
    whole = msgpack.packb({**rest, "custom": {**rest, "version": value}, "z": rest})

    assert built.number(whole) == value
    assert built.number(whole + bytes(40)) == value
    assert built.number(whole, key="m") == built.number(whole, key="f") == built.number(whole, key="none") == -1
    assert built.number(whole, outer="version") == built.number(whole, outer="cust") == -1


def test_metadata_that_is_cut_or_doubtful(built: Parts) -> None:
    """Cut anywhere, a key that stands twice, 33 bits, or a map that promises more than there is: no number."""
    whole = msgpack.packb({"custom": {"a": [1, 2], "version": 7}})
    twice = b"\x81\xa6custom\x82\xa7version\x01\xa7version\x02"

    for text in (whole, msgpack.packb({"custom": {"version": 7, "b": b"abc"}, "z": "abc"})):
        assert built.number(text) == 7
        assert [n for n in range(len(text)) if built.number(text[:n]) != -1] == []
    assert built.number(twice) == built.number(msgpack.packb({"custom": {"version": 2**32}})) == -1
    assert built.number(b"\xdf\xff\xff\xff\xff" + whole[1:]) == built.number(b"\xc1") == built.number(b"") == -1
    assert built.number(b"\xdd\xff\xff\xff\xff" * 50) == -1


def packed(name: str, method: int) -> bytes:
    return write_v1(4, native_payload(name), loaded(name).container.metadata, method=method, native=True)  # type: ignore[union-attr, arg-type]


@pytest.mark.parametrize("method", [0, 1, 2, 3])
def test_whole_files(built: Parts, method: int) -> None:
    """A signed file of each compression loads with the trusted key alone, and computes what the model does."""
    key = new_key(STANDARD, "sign")
    data = sign_v1(packed("rfc_digits", method), key)
    public = data[-36:-4]
    other = sign_v1(packed("rfc_digits", method), new_key(STANDARD, "sign"))

    assert built.load_signed(data, public) == "OK"
    agrees(built, loaded("rfc_digits").model.lower(), random_rows(loaded("rfc_digits").model.lower(), 50).values)
    assert built.load_signed(other, public) == "SIGNATURE"
    assert built.load_signed(data, None) == "SIGNATURE"
    assert built.load_signed(packed("rfc_digits", method), public) == "SIGNATURE"
    assert built.load_signed(packed("rfc_digits", method), public, requires=False) == "OK"
    assert built.load_signed(patched(data, 200, bytes([data[200] ^ 1])), public) == "SIGNATURE"
    assert built.load_signed(patched(data, 200, bytes([data[200] ^ 1]), repair=False), public) == "CHECKSUM"
    if method in (1, 2):
        assert built.load_signed(data, public, memory=0) == "COMPRESSION"


def test_on_a_small_core(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """The same on an emulated Cortex-M0+: plain and LZ4, each signed; not unsigned, of another key, or changed.

    Its 16 KiB of RAM are too little for zstd, which examples/field_update has on a Cortex-M4.
    """
    target = "cortex-m0plus"
    require_target(target)
    methods = (0, 3)
    key = new_key(STANDARD, "sign")
    files = {f"method{method}": sign_v1(packed("rfc", method), key) for method in methods}
    files["other"] = sign_v1(packed("rfc", 0), new_key(STANDARD, "sign"))
    files["bare"] = native_file("rfc")
    files["changed"] = patched(files["method3"], 200, bytes([files["method3"][200] ^ 1]))
    payload_bytes = native_payload("rfc")
    trust = Trust(files["method0"][-36:-4], len(payload_bytes), ("ed25519", "lz4"))
    board = build(files, read_native(payload_bytes).workspace_bytes // 4, load_target(target), tmp_path, trust)
    program = loaded("rfc").model.lower()
    rows = random_rows(program, 3).values
    names = [name for name in files for _ in rows]
    results = board.run([(name, row) for name in files for row in rows])
    statuses = {name: LOAD[int(value)] for name, value in zip(names, results[:, STATUS].view(np.uint32), strict=True)}
    wanted = program.run(rows)

    assert statuses == {
        **{f"method{method}": "OK" for method in methods}, "other": "SIGNATURE", "bare": "SIGNATURE",
        "changed": "SIGNATURE",
    }  # fmt: skip
    for at in range(0, 3 * len(methods), 3):
        assert wanted.tobytes() == np.ascontiguousarray(results[at : at + 3, : program.n_outputs]).tobytes()


def test_archives_from_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a registry a folder will do; a changed archive, or none, is refused, and nothing is written."""
    part = parts()["lz4"]
    taken(part)
    data = (cache_folder() / "archives" / part.sha256).read_bytes()
    held, out = tmp_path / "held", tmp_path / "out"
    held.mkdir()
    words = ("loader", "-o", str(out), "--with", "lz4", "--archives", str(held))

    assert main(words) == 7
    assert "error[archive.missing]" in capsys.readouterr().err
    (held / part.archive).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert main(words) == 7
    assert "error[archive.hash]" in capsys.readouterr().err
    assert not out.exists()
    (held / part.archive).write_bytes(data)
    assert main(words) == 0
    assert (out / "third_party" / "lz4.c").is_file()
    assert main(words) == 0


def test_the_folder_says_what_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """loader.json has the sha256 of every file, and its flags compile every unit; what is left out is not there."""
    words = ("loader", "-o", str(tmp_path / "out"), "--with", "ed25519,lz4", "--without", "text", "--format", "json")
    assert main(words) == 0
    said = json.loads(capsys.readouterr().out)
    out = tmp_path / "out"
    there = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    for unit in said["units"]:
        compile_c("gcc", ("@apr_flags.txt", *unit["flags"], "-O0", "-fsyntax-only", unit["file"]), out)

    assert there == {*said["files"], "loader.json"}
    assert {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in said["files"]} == said["files"]
    assert [part["name"] for part in said["parts"]] == ["lz4", "ed25519"]
    assert not there & {"apr_view_text.c", "apr_zstd.c", "third_party/zstd.c"}


def test_a_spoilt_cache_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes in the cache that are not those of the sha256 are fetched anew."""
    part = parts()["lz4"]
    (tmp_path / part.sha256).write_bytes(b"other")
    asked: list[str] = []

    def fetch(wanted: object, work: Path) -> bytes:
        asked.append(part.archive)
        return b"also other"

    monkeypatch.setattr("aprgen.third_party._fetch", fetch)

    with pytest.raises(ToolchainError, match="not the archive that was pinned"):
        taken(part, cache=tmp_path)
    assert asked == [part.archive]


def test_a_registry_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip's own words, and what to do."""
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")

    with pytest.raises(ToolchainError) as caught:
        taken(parts()["lz4"], cache=tmp_path)
    assert caught.value.code == "archive.unreachable"
    assert "--archives DIR" in caught.value.hint


@pytest.mark.parametrize(
    ("words", "code"),
    [(("--with", "gzip"), "loader.part"), (("--without", "forests"), "loader.group"),
     (("--crc-table", "5"), "usage.arguments")],
)  # fmt: skip
def test_names_that_are_none(
    words: tuple[str, ...], code: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A usage error that lists what there is."""
    assert main(("loader", "-o", str(tmp_path / "out"), *words)) == 2
    assert f"error[{code}]" in capsys.readouterr().err


def test_nothing_of_an_archive_is_unpacked_to_disk() -> None:
    """Only the named members are read, and each says where it is from."""
    texts = taken(parts()["ed25519"])

    assert sorted(texts) == ["LICENSE.ed25519", "monocypher.c", "monocypher.h"]
    assert all(text.splitlines()[0].count(parts()["ed25519"].sha256) == 1 for text in texts.values())
    assert tarfile.is_tarfile(cache_folder() / "archives" / parts()["ed25519"].sha256)
