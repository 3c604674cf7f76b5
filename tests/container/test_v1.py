"""Reading and writing v1 files, against the fixtures of the original library."""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from pathlib import Path

import pytest

from aprgen.container import (
    AprFile,
    Limits,
    Metadata,
    inspect_container,
    inspect_v1,
    load_bytes,
    open_container,
    read_v1,
    write_v1,
)
from aprgen.container.metadata import License, as_json, write_metadata
from aprgen.errors import ContainerError, SecurityError, UsageError
from tests.container import files
from tests.container.files import Fixture

EVERY_V1 = pytest.mark.parametrize("fixture", files.V1, ids=lambda fixture: fixture.name)
EVERY_OPEN = pytest.mark.parametrize("fixture", files.OPEN, ids=lambda fixture: fixture.name)
EVERY_PLAIN = pytest.mark.parametrize("fixture", files.PLAIN, ids=lambda fixture: fixture.name)
EVERY_SIGNED = pytest.mark.parametrize("fixture", files.SIGNED, ids=lambda fixture: fixture.name)
EVERY_ENCRYPTED = pytest.mark.parametrize("fixture", files.ENCRYPTED, ids=lambda fixture: fixture.name)


def opened(data: bytes) -> AprFile:
    file = open_container(data)
    assert isinstance(file, AprFile)
    return file


@EVERY_OPEN
def test_checksum_of_fixture(fixture: Fixture) -> None:
    """The stored checksum is that of all bytes before it."""
    data = fixture.data

    assert zlib.crc32(data[:-4]) == opened(data).crc


@EVERY_OPEN
def test_header_of_fixture(fixture: Fixture) -> None:
    """Model type, its name, flags and quality score are those the writer was given."""
    expected = fixture.expected
    file = opened(fixture.data)

    assert expected["model_type_id"] == file.header.model_type
    assert expected["model_type_name"] == file.header.model_type_name
    quality = expected["quality_score"] if fixture.writer == "save" else None
    assert (quality or 0) == file.header.quality
    assert fixture.signed == file.header.signed
    assert ("LICENSED" in file.header.flag_names) == (file.metadata.license is not None and not fixture.signed)


@pytest.mark.parametrize(
    "fixture",
    [each for each in files.OPEN if "payload_crc32" in each.expected],
    ids=lambda fixture: fixture.name,
)
def test_payload_of_fixture(fixture: Fixture) -> None:
    """The unpacked payload has the recorded length and checksum."""
    expected = fixture.expected
    payload = opened(fixture.data).payload

    assert expected["payload_uncompressed_len"] == len(payload)
    assert int(expected["payload_crc32"], 16) == zlib.crc32(payload)


@pytest.mark.parametrize(
    "fixture", [each for each in files.V1 if "metadata" in each.expected], ids=lambda fixture: fixture.name
)
def test_metadata_of_fixture(fixture: Fixture) -> None:
    """Every metadata field is read, in encrypted files too."""
    metadata = inspect_v1(fixture.data).metadata
    assert metadata is not None

    assert fixture.expected["metadata"] == json.loads(json.dumps(as_json(metadata)))


@EVERY_PLAIN
def test_plain_fixture_has_no_findings(fixture: Fixture) -> None:
    """A careful reader has nothing to report about a file of the original library."""
    assert () == opened(fixture.data).findings


@EVERY_SIGNED
def test_signed_fixture_is_accounted_for(fixture: Fixture) -> None:
    """Signature, then key, lie between payload and checksum; that nobody was trusted is a finding."""
    data = fixture.data
    file = opened(data)
    assert file.signature is not None

    assert data[-100:-36] == file.signature.signature
    assert data[-36:-4] == file.signature.public_key
    assert hashlib.sha256(data[-36:-4]).hexdigest() == file.signature.fingerprint
    assert len(data) == file.header.payload_end + 96 + 4
    assert "unverified" == file.verification.state
    assert 1 == len(file.findings)
    assert "no trust was given" in file.findings[0]


@EVERY_ENCRYPTED
def test_encrypted_fixture_is_refused(fixture: Fixture) -> None:
    """An encrypted file is never opened as if it were plain."""
    with pytest.raises(SecurityError, match="the model is encrypted") as refusal:
        open_container(fixture.data)

    assert 4 == refusal.value.exit_status
    assert "security.encrypted" == refusal.value.code
    assert "byte 21" in refusal.value.where
    assert "decrypt" in refusal.value.hint


@EVERY_ENCRYPTED
def test_encrypted_fixture_is_inspected(fixture: Fixture) -> None:
    """Header, metadata and checksum of an encrypted file can be shown; the one problem is that it is encrypted."""
    found = inspect_container(fixture.data)

    assert found.header is not None
    assert found.crc_valid
    assert found.metadata is not None
    assert ["security.encrypted"] == [problem.code for problem in found.problems]


@EVERY_V1
def test_metadata_is_written_as_it_was(fixture: Fixture) -> None:
    """Read and written again, the metadata of every fixture has the same bytes: order, forms and float widths."""
    data = fixture.data
    found = inspect_v1(data)
    assert found.header is not None
    assert found.metadata is not None

    assert data[32 : found.header.payload_start] == write_metadata(found.metadata)


@pytest.mark.parametrize(
    "fixture", [each for each in files.PLAIN if each.compression != "Lz4"], ids=lambda fixture: fixture.name
)
def test_written_file_equals_the_original(fixture: Fixture) -> None:
    """Stored plainly or by zstd, a written file equals that of the original library byte for byte."""
    data = fixture.data
    file = opened(data)

    assert data == write_v1(
        file.header.model_type,
        file.payload,
        file.metadata,
        method=file.header.compression,
        quality=file.header.quality or None,
    )


@EVERY_PLAIN
@pytest.mark.parametrize("method", [0, 1, 2, 3])
def test_written_file_is_read_again(fixture: Fixture, method: int) -> None:
    """Any compression gives back payload and metadata, and a file without findings."""
    file = opened(fixture.data)

    again = opened(write_v1(file.header.model_type, file.payload, file.metadata, method=method))

    assert file.payload == again.payload
    assert file.metadata == again.metadata
    assert () == again.findings
    assert method == again.header.compression


def test_written_zstd_frame_states_no_size_and_no_checksum() -> None:
    """The frame header's descriptor is 0, as the original's streaming encoder writes it."""
    for method in (1, 2):
        data = write_v1(1, bytes(5000), Metadata("1", "0.26.3"), method=method)
        stored = data[32 + int.from_bytes(data[8:12], "little") :]

        assert b"\x28\xb5\x2f\xfd\x00" == stored[:5]


def test_license_sets_its_flag() -> None:
    """The LICENSED flag is set exactly when the metadata holds a license."""
    license_ = License("id", "hash", None, 5, None, "Team")
    licensed = opened(write_v1(1, b"x", Metadata("1", "2", license=license_)))

    assert ("LICENSED",) == licensed.header.flag_names
    assert license_ == licensed.metadata.license
    assert () == opened(write_v1(1, b"x", Metadata("1", "2"))).header.flag_names


@pytest.mark.parametrize("quality", [0, -1, 101, 256])
def test_writer_refuses_quality(quality: int) -> None:
    """A quality score is 1 to 100; aprender refuses 0 too."""
    with pytest.raises(UsageError, match="quality score"):
        write_v1(1, b"x", Metadata("1", "2"), quality=quality)


def test_writer_refuses_what_no_reader_takes() -> None:
    """Unknown model types and compressions, and payloads above the limit, are not written."""
    metadata = Metadata("1", "2")
    with pytest.raises(UsageError, match="model type 0x000b"):
        write_v1(11, b"x", metadata)
    with pytest.raises(UsageError, match="compression 4"):
        write_v1(1, b"x", metadata, method=4)
    with pytest.raises(UsageError, match="100 bytes, the limit is 99"):
        write_v1(1, bytes(100), metadata, limits=Limits(payload_bytes=99))


def test_inspection_lists_every_problem() -> None:
    """One file, four failing checks: all are listed, and read_v1 raises the first."""
    data = bytearray(write_v1(1, b"payload", Metadata("1", "2")))
    data[6] = 0x0B  # model type
    data[23] = 0x02  # suite
    data[16] += 1  # uncompressed size
    codes = [problem.code for problem in inspect_v1(bytes(data)).problems]

    assert ["container.crc", "container.model_type", "security.suite", "container.size"] == codes
    with pytest.raises(ContainerError, match="checksum mismatch"):
        read_v1(bytes(data))


def test_load_bytes_stops_at_the_limit(tmp_path: Path) -> None:
    """A file above the limit is not read into memory; a folder or a missing file is the user's mistake."""
    path = tmp_path / "large.apr"
    path.write_bytes(bytes(101))

    with pytest.raises(ContainerError, match="more than 100 bytes"):
        load_bytes(path, Limits(file_bytes=100))
    with pytest.raises(UsageError, match=re.escape(f"cannot read {tmp_path}")):
        load_bytes(tmp_path)
    with pytest.raises(UsageError, match="No such file"):
        load_bytes(tmp_path / "missing.apr")
    assert bytes(101) == load_bytes(path)
