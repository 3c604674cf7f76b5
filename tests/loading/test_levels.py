"""The verification levels: what each looks at, that none weakens what the caller demands, and what paranoid adds."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import aprgen
from aprgen.cli import main
from aprgen.container import Loading, Trust, TrustedKey, Verification, compression, write_v1
from aprgen.container.algorithms import public_of
from aprgen.container.header import parse_header
from aprgen.container.keys import SecretKey
from aprgen.container.loading import LEVELS, MODES, Level
from aprgen.container.metadata import Metadata
from aprgen.container.protected import sign_v1
from aprgen.container.suites import STANDARD, SUITES, Suite
from aprgen.errors import AprgenError, ContainerError, SecurityError, UnsupportedError
from aprgen.families.linear import Linear
from aprgen.loaded import load_model
from aprgen.native import read_native, write_native
from aprgen.payload_form import in_form
from tests.examples import PATHS, loaded
from tests.hostile.bytesmith import fixture, patched, with_crc
from tests.hostile.protectedfiles import key_of
from tests.hostile.v2files import built
from tests.loading.files import file_of

ALL: tuple[Level, ...] = tuple(LEVELS)
DOCS = Path(__file__).resolve().parents[2] / "docs" / "loading.md"
PLAIN = fixture("real/linreg")


def passes(data: bytes, **options: object) -> dict[Level, bool]:
    """Which levels take the bytes."""
    found: dict[Level, bool] = {}
    for level in ALL:
        try:
            load_model(data, checks=LEVELS[level], **options)  # type: ignore[arg-type]
        except AprgenError:
            found[level] = False
        else:
            found[level] = True
    return found


def only(*levels: Level) -> dict[Level, bool]:
    return {level: level in levels for level in ALL}


def test_docs_have_the_table_of_the_code() -> None:
    """docs/loading.md marks for each check exactly the levels that make it."""
    rows = dict(re.findall(r"^\| `(\w+)` \|.*?\| ((?:[^|]*\| ){3}[^|]*)\|$", DOCS.read_text(encoding="utf-8"), re.M))
    marks = {check: [bool(cell.strip()) for cell in cells.split("|")] for check, cells in rows.items()}
    fields = LEVELS["standard"].__dataclass_fields__

    assert {name: [getattr(LEVELS[level], name) for level in ALL] for name in fields} == marks


def test_sound_files_pass_every_level() -> None:
    """What aprender and aprgen write has nothing that paranoid refuses: plain, compressed, native, v2, signed."""
    for data in (PLAIN, fixture("real/rfc"), file_of("native"), file_of("net_f32"), fixture("real/signed_dtc")):
        assert only(*ALL) == passes(data)


def test_checksum() -> None:
    """A wrong CRC-32, of v1 and of both kinds in v2, is noticed from checksum-only on."""
    net = file_of("net_f32")
    wrong_header = bytearray(net)
    wrong_header[40] ^= 1
    wrong_header = bytearray(with_crc(bytes(wrong_header[:-4])))  # the file's own is right

    for data in (PLAIN[:-1] + bytes([PLAIN[-1] ^ 1]), net[:-1] + bytes([net[-1] ^ 1]), bytes(wrong_header)):
        assert only("unsafe-skip") == passes(data)


def test_bounds_on_every_level() -> None:
    """Sizes, counts, limits, types and bytes that belong to nothing are looked at on every level."""
    header = parse_header(PLAIN)
    start = header.payload_start
    cases = (
        PLAIN[:30],  # cut in the header
        PLAIN[:-10],  # cut in the payload
        patched(PLAIN, 12, (1 << 30).to_bytes(4, "little")),  # a payload beyond the file
        patched(PLAIN, 16, (1 << 29).to_bytes(4, "little")),  # unpacks beyond the limit
        patched(PLAIN, start, (1 << 60).to_bytes(8, "little")),  # a count that no bytes back
        patched(PLAIN, 20, b"\x09"),  # no such compression
        with_crc(PLAIN[:-4] + b"\0"),  # a byte that belongs to nothing
        built([(b"layer0.weight", 0, (4, 4), 0, 64)], bytes(32)),  # a tensor beyond the file
    )

    for data in cases:
        assert only() == passes(data), data[:40]


def signed(suite: Suite = STANDARD) -> bytes:
    return sign_v1(PLAIN, key_of(suite, "sign"))


def forged() -> bytes:
    """A signed file with another number in the payload, and a right checksum."""
    data = signed()
    at = parse_header(data).payload_end - 6
    return with_crc(patched(data, at, bytes([data[at] ^ 1]))[:-4])


def test_signature_that_nobody_demands() -> None:
    """A wrong signature is noticed by standard and paranoid; the others say that they did not look."""
    skipped = load_model(signed(), checks=LEVELS["checksum-only"])

    assert only("unsafe-skip", "checksum-only") == passes(forged())
    assert skipped.verification.state == "skipped"
    assert "level skips it" in skipped.signer
    assert any("was not verified" in finding for finding in skipped.findings)
    assert load_model(signed()).verification.state == "unverified"


def trusting(key: SecretKey, *, require: bool = False) -> Trust:
    return Trust((TrustedKey("author", public_of(key)),), require)


@pytest.mark.parametrize("level", ALL)
@pytest.mark.parametrize("mode", MODES)
def test_no_level_weakens_trust(level: Level, mode: str, tmp_path: Path) -> None:
    """With trust or require_signature, forged, unsigned and foreign files are refused on every level and in every mode,
    and the right one is verified."""
    author, stranger = key_of(STANDARD, "sign"), SecretKey(STANDARD, "sign", bytes(range(32)))
    path = tmp_path / "m.apr"

    def load(data: bytes, **options: object) -> Verification:
        path.write_bytes(data)
        return aprgen.load(path, verify=level, mode=mode, **options).signature  # type: ignore[arg-type]

    assert load(signed(), trust=trusting(author)).state == "trusted"
    assert load(signed(), require_signature=True).state == "unverified"
    for options in ({"trust": trusting(author)}, {"require_signature": True}):
        for data in (forged(), PLAIN):
            with pytest.raises(SecurityError):
                load(data, **options)
    with pytest.raises(SecurityError, match="unknown key"):
        load(signed(), trust=trusting(stranger))


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.word)
def test_signatures_of_streams(suite: Suite, tmp_path: Path) -> None:
    """Of every suite, in windows: the right signature passes; any byte of message, signature or key changed does not,
    just as in memory."""
    path = tmp_path / "m.apr"
    data = sign_v1(file_of("knn"), key_of(suite, "sign"))
    path.write_bytes(data)
    trust = trusting(key_of(suite, "sign"))
    header = parse_header(data)
    end = len(data) - 4

    assert aprgen.load(path, mode="streaming", trust=trust).signature.state == "trusted"
    places = (22, header.payload_start + 100_000, header.payload_end, header.payload_end + 40, end - 40, end - 1)
    for at in places:
        wrong = with_crc(patched(data, at, bytes([data[at] ^ 4]))[:-4])
        path.write_bytes(wrong)
        for mode in ("eager", "streaming"):
            with pytest.raises(SecurityError):
                aprgen.load(path, mode=mode, require_signature=True)


def test_signature_that_is_no_canonical_number(tmp_path: Path) -> None:
    """An Ed25519 signature with the group's order added verifies nowhere: no second signature of the same file."""
    data = bytearray(signed())
    at = parse_header(bytes(data)).payload_end + 32
    order = (1 << 252) + 27742317777372353535851937790883648493
    number = int.from_bytes(data[at : at + 32], "little")
    path = tmp_path / "m.apr"
    for other in (number + order, 0, (1 << 256) - 1):
        data[at : at + 32] = other.to_bytes(32, "little")
        path.write_bytes(with_crc(bytes(data[:-4])))
        for mode in MODES:
            with pytest.raises(SecurityError, match="signature invalid"):
                aprgen.load(path, mode=mode)


def outdated() -> bytes:
    """A native file whose computation is not that of the record it keeps."""
    model = loaded("linreg")
    native = load_model(in_form(model, "native"))
    payload = native.container.payload  # type: ignore[union-attr]
    found = read_native(payload)
    program = found.program
    step = program.steps[0]
    weight = step.op.weight.data.copy()  # type: ignore[attr-defined]
    weight[0, 0] += 1
    op = replace(step.op, weight=type(step.op.weight)(weight))  # type: ignore[attr-defined,type-var]
    other = replace(program, steps=(replace(step, op=op), *program.steps[1:]))
    edited = write_native(other, found.names, model.record)
    return write_v1(1, edited, Metadata("0", "test"), native=True)


def test_agreement_of_record_and_computation() -> None:
    """A native payload that computes something else than its record is noticed by standard and paranoid."""
    assert only("unsafe-skip", "checksum-only") == passes(outdated())


@pytest.mark.parametrize("broken", [False, True])
def test_outdated_native_files_are_converted_back(broken: bool, tmp_path: Path) -> None:
    """convert --payload bincode gives the record back where the computation is outdated, or unreadable to this version;
    everything else refuses the file, and a signature that is demanded is asked for as ever."""
    data = outdated()
    at = parse_header(data).payload_start + 48  # words of scratch, which this version counts otherwise
    path, out = tmp_path / "old.apr", tmp_path / "new.apr"
    path.write_bytes(patched(data, at, b"\x07") if broken else data)
    words = ["convert", str(path), "-o", str(out)]

    assert 3 == main(["validate", str(path)])
    assert 3 == main([*words, "--native"])
    assert 4 == main([*words, "--payload", "bincode", "--require-signature"])
    assert not out.exists()
    assert 0 == main([*words, "--payload", "bincode"])
    assert loaded("linreg").record == load_model(out.read_bytes()).record
    assert only(*ALL) == passes(out.read_bytes())


@pytest.mark.parametrize(
    ("place", "byte", "says"),
    [
        (5, 1, "newer than 1.0"),
        (21, 0x80, "reserved flag"),
        (21, 0x04, "STREAMING"),
        (21, 0x20, "QUANTIZED"),
        (22, 101, "quality"),
        (24, 1, "reserved header bytes"),
    ],
)
def test_paranoid_refuses_what_others_report(place: int, byte: int, says: str) -> None:
    """Bits and bytes that mean nothing yet: standard reports them, paranoid refuses."""
    data = with_crc(patched(PLAIN, place, bytes([byte]))[:-4])
    with pytest.raises(ContainerError, match=says) as refused:
        load_model(data, checks=LEVELS["paranoid"])

    assert refused.value.code == "container.strict"
    assert only("unsafe-skip", "checksum-only", "standard") == passes(data)
    assert any(says in finding for finding in load_model(data).findings)


def test_paranoid_refuses_other_spellings() -> None:
    """Metadata with a longer number than needed, and v2 tensors out of place, are other spellings of the same."""
    header = parse_header(PLAIN)
    described = PLAIN[32 : header.payload_start]
    assert described[0] >> 4 == 8  # a map of up to 15 keys, in one byte
    longer = b"\xde\x00" + bytes([described[0] & 15]) + described[1:]
    spelled = bytearray(PLAIN[:32] + longer + PLAIN[header.payload_start : -4])
    spelled[8:12] = len(longer).to_bytes(4, "little")
    net = built([(b"layer0.weight", 0, (4, 4), 4, 64)], bytes(68), metadata=b'{"activation": "relu"}')

    for data in (with_crc(bytes(spelled)), net):
        assert only("unsafe-skip", "checksum-only", "standard") == passes(data)


def test_paranoid_refuses_bytes_that_fit_two_structs() -> None:
    """Two scalers have one layout; --as says which it is."""
    data = PATHS["standard_scaler"].read_bytes()

    assert only("unsafe-skip", "checksum-only", "standard") == passes(data)
    assert only(*ALL) == passes(data, struct="StandardScaler")


def test_paranoid_refuses_what_cannot_predict() -> None:
    """Unfitted models, and parameters that are not finite, are loaded by other levels, to be looked at."""
    intercept = parse_header(PLAIN).payload_end - 5  # a bool follows
    infinite = patched(PLAIN, intercept, np.float32(np.inf).tobytes())

    assert only("unsafe-skip", "checksum-only", "standard") == passes(infinite)
    assert only("unsafe-skip", "checksum-only", "standard") == passes(fixture("real/unfitted_kmeans"))
    with pytest.raises(UnsupportedError):
        load_model(fixture("real/unfitted_kmeans"), checks=LEVELS["paranoid"])


def test_paranoid_unpacks_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that unpacks the same bytes to something else is noticed: planted here, every second time."""
    data = file_of("knn_zstd")
    unpack: Callable[..., bytes] = compression.unpack_zstd
    times = 0

    def flaky(*words: object) -> bytes:
        nonlocal times
        times += 1
        found = unpack(*words)
        return found if times % 2 else found[:-1] + bytes([found[-1] ^ 16])

    monkeypatch.setattr(compression, "unpack_zstd", flaky)
    with pytest.raises(ContainerError, match="twice"):
        load_model(data, checks=LEVELS["paranoid"])
    assert times == 2


def test_paranoid_computes_in_two_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model whose two computations differ is noticed: planted here, one unit in the first score."""
    predict = Linear.predict
    monkeypatch.setattr(Linear, "predict", lambda self, rows: predict(self, rows) + np.float32(1))
    with pytest.raises(AprgenError, match="two ways"):
        load_model(PLAIN, checks=LEVELS["paranoid"])


def test_levels_are_those_of_loading() -> None:
    """Loading gives the checks of its level, and standard is the usual one."""
    assert LEVELS["standard"] == Loading().checks
    assert LEVELS["paranoid"] == Loading("paranoid").checks
    assert zlib.crc32(PLAIN[:-4]) == int.from_bytes(PLAIN[-4:], "little")
