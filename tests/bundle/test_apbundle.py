"""`.apbundle` files: the bytes of the original library, and every way to lie in them refused with its place."""

from __future__ import annotations

import random
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aprgen.container import DEFAULT_LIMITS
from aprgen.container.apbundle import MAX_FILES, read_apbundle, write_apbundle
from aprgen.errors import ContainerError, UsageError
from tests.cli.commands import Command, is_three_lines
from tests.examples import PATHS

FILES = (("a", b"first"), ("model/b", b""), ("\u00e9", b"\x00\xff" * 9))


@pytest.fixture
def aprgen(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def entry(name: bytes, size: int, offset: int) -> bytes:
    return struct.pack("<I", len(name)) + name + struct.pack("<QQ", size, offset)


def made(
    entries: bytes = entry(b"a", 3, 0), data: bytes = b"abc", *, count: int = 1, version: int = 1, inner: int = 1,
    manifest_bytes: int | None = None, description: bytes = b"", more: bytes = b"",
) -> bytes:  # fmt: skip
    """By hand, so that a mistake of the writer cannot hide here."""
    head = struct.pack("<IQI", inner, 1_795_206_728, len(description)) + description
    manifest = head + struct.pack("<I", count) + entries + more
    size = len(manifest) if manifest_bytes is None else manifest_bytes
    return b"APBUNDLE" + struct.pack("<IQ", version, size) + manifest + data


def test_the_bytes_are_those_of_the_format() -> None:
    """Written and made by hand alike, field by field."""
    written = write_apbundle([("a", b"abc")], created=1_795_206_728, description="d\u00e9")

    assert made(description="d\u00e9".encode()) == written


@given(
    files=st.dictionaries(st.text(min_size=1, max_size=9), st.binary(max_size=40), max_size=6),
    created=st.integers(0, 2**64 - 1),
    description=st.text(max_size=20),
)
@settings(max_examples=25)
def test_what_is_written_is_read(files: dict[str, bytes], created: int, description: str) -> None:
    """Names, bytes, time and description come back, in their order."""
    found = read_apbundle(write_apbundle(tuple(files.items()), created=created, description=description))

    assert (tuple(files.items()), created, description) == (
        tuple((file.name, file.data) for file in found.files), found.created, found.description
    )  # fmt: skip


@pytest.mark.parametrize(
    ("data", "code", "place"),
    [
        (b"", "apbundle.magic", 0),
        (b"APBUNDLF" + made()[8:], "apbundle.magic", 0),
        (b"APBUNDLE", "apbundle.truncated", 8),
        (made()[:19], "apbundle.truncated", 19),
        (made(version=2), "apbundle.version", 8),
        (made(inner=0), "apbundle.version", 20),
        (made(manifest_bytes=2**64 - 1), "apbundle.manifest", 12),
        (made(manifest_bytes=2**64 - 20), "apbundle.manifest", 12),
        (made(manifest_bytes=3), "apbundle.manifest", 20),
        (made(more=b"x"), "apbundle.manifest", 61),
        (made(count=0), "apbundle.manifest", 40),
        (made(count=2), "apbundle.manifest", 61),
        (made(count=MAX_FILES + 1), "apbundle.manifest", 36),
        (made(count=2**32 - 1), "apbundle.manifest", 36),
        (made(entry(b"", 3, 0)), "apbundle.manifest", 40),
        (made(entry(b"\xff", 3, 0)), "apbundle.manifest", 44),
        (made(struct.pack("<I", 2**32 - 1)), "apbundle.manifest", 40),
        (made(entry(b"n" * 1025, 3, 0)), "apbundle.manifest", 40),
        (made(entry(b"a", 4, 0)), "apbundle.manifest", 40),
        (made(entry(b"a", 2**64 - 1, 0)), "apbundle.manifest", 40),
        (made(entry(b"a", 3, 2**64 - 1)), "apbundle.manifest", 40),
        (made(entry(b"a", 2, 1)), "apbundle.manifest", 40),
        (made(entry(b"a", 2, 0)), "apbundle.manifest", 63),
        (made(data=b"abcd"), "apbundle.manifest", 64),
        (made(data=b"ab"), "apbundle.manifest", 40),
        (made(entry(b"a", 2, 0) + entry(b"a", 1, 2), count=2), "apbundle.manifest", 61),
        (made(entry(b"a", 2, 0) + entry(b"b", 2, 1), count=2), "apbundle.manifest", 61),
        (made(entry(b"a", 3, 0) + entry(b"b", 3, 0), count=2), "apbundle.manifest", 61),
        (made(description=bytes([0xC3])), "apbundle.manifest", 36),
        (made(description=b"d" * ((1 << 16) + 1)), "apbundle.manifest", 32),
    ],
)  # fmt: skip
def test_lies_are_refused_with_their_place(data: bytes, code: str, place: int) -> None:
    """Counts, sizes, offsets that overlap or leave gaps, names that are not: an error that says where."""
    with pytest.raises(ContainerError) as raised:
        read_apbundle(data)

    assert (code, True) == (raised.value.code, raised.value.where in (f"byte {place}", "the whole file"))
    assert raised.value.hint


def test_a_bundle_over_the_limit_is_refused() -> None:
    """The limit of files holds for bundles."""
    with pytest.raises(ContainerError, match="the limit is 10"):
        read_apbundle(made(), replace(DEFAULT_LIMITS, file_bytes=10))


def test_mutated_bundles_are_read_or_refused() -> None:
    """30,000 changed bundles: no other error than ContainerError, and what is read covers every byte."""
    generator = random.Random(20261128)
    sound = write_apbundle([(name, data) for name, data in FILES], description="three")
    read = 0
    for _ in range(30_000):
        data = bytearray(sound)
        for _ in range(generator.randrange(1, 4)):
            at = generator.randrange(len(data))
            match generator.randrange(4):
                case 0:
                    data[at] = generator.randrange(256)
                case 1:
                    data[at : at + 8] = generator.choice((b"\xff" * 8, bytes(8), b"\x01" + bytes(7)))
                case 2:
                    del data[at : at + generator.randrange(1, 9)]
                case _:
                    data[at:at] = data[generator.randrange(len(data)) :][:8]
            if not data:
                break
        try:
            found = read_apbundle(bytes(data))
        except ContainerError:
            continue
        read += 1
        assert sum(len(file.data) for file in found.files) <= len(data)

    assert 0 < read < 15_000


@pytest.mark.parametrize("files", [[("", b"")], [("a", b""), ("a", b"")], [("n" * 1025, b"")]])
def test_names_that_nobody_can_tell_apart_are_not_written(files: list[tuple[str, bytes]]) -> None:
    """Empty, twice, too long."""
    with pytest.raises(UsageError):
        write_apbundle(files)


def test_commands_pack_and_read(aprgen: Command, tmp_path: Path) -> None:
    """`bundle -o X.apbundle`, `inspect`, `validate`, and `bundle X.apbundle`: the files come back byte for byte."""
    out = tmp_path / "fleet.apbundle"
    packed = aprgen("bundle", PATHS["linreg"], f"km={PATHS['kmeans']}", "-o", out, "--created", "7")
    seen = aprgen("inspect", out, "--format", "json").json
    checked = aprgen("validate", out, "--format", "json")
    unpacked = aprgen("bundle", f"{out}:both", "-o", tmp_path / "c", "--no-measure")
    manifest = (tmp_path / "c" / "manifest.json").read_text()

    assert (0, 0, 0) == (packed.status, checked.status, unpacked.status), packed.err + checked.err + unpacked.err
    assert read_apbundle(out.read_bytes()).files[1].data == PATHS["kmeans"].read_bytes()
    assert [("linreg", "LinearRegression"), ("km", "KMeans")] == [
        (model["name"], model["model_type"]) for model in seen["models"]
    ]
    assert (7, [True, True]) == (seen["created"], [file["valid"] for file in checked.json["files"]])
    assert '"name": "km"' in manifest
    assert "km  " not in manifest


def test_commands_refuse_damage(aprgen: Command, tmp_path: Path) -> None:
    """A damaged bundle, a damaged model in a sound bundle, and a damaged model that should be packed: status 3."""
    kmeans = PATHS["kmeans"].read_bytes()
    cut, inside, model = tmp_path / "cut.apbundle", tmp_path / "inside.apbundle", tmp_path / "model.apr"
    cut.write_bytes(write_apbundle([("km", kmeans)])[:-1])
    inside.write_bytes(write_apbundle([("ok", kmeans), ("km", kmeans[:-1] + b"?")]))
    model.write_bytes(kmeans[:-1] + b"?")
    for words, code in (
        (("inspect", cut), "apbundle.manifest"),
        (("validate", cut), "apbundle.manifest"),
        (("bundle", cut, "-o", tmp_path / "c"), "apbundle.manifest"),
        (("inspect", inside), "container.crc"),
        (("validate", inside), "container.crc"),
        (("bundle", inside, "-o", tmp_path / "c"), "container.crc"),
        (("bundle", model, "-o", tmp_path / "x.apbundle"), "container.crc"),
    ):
        answer = aprgen(*words)
        assert 3 == answer.status
        assert is_three_lines(answer, code), answer.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.apbundle", "inside.apbundle", "model.apr"]
    assert zlib.crc32(kmeans[:-4]).to_bytes(4, "little") == kmeans[-4:]
