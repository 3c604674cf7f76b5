"""APR v1 files: framing, checksum, and the order of checks.

`read_v1` opens a sound file or raises; `inspect_v1` shows what can be shown of any file and lists every failing check.
Signatures are verified before anything is decrypted, and an encrypted payload is never opened as plain.
Knows nothing of what the payload means.
"""

from __future__ import annotations

from dataclasses import dataclass

from aprgen.container import compression
from aprgen.container.envelope import Mode, overhead_bytes, parse_envelope
from aprgen.container.header import (
    COMPRESSIONS,
    CRC_BYTES,
    HAS_MODEL_CARD,
    HEADER_BYTES,
    LICENSED,
    MAGIC,
    NATIVE_ALIGNMENT,
    Header,
    check_header,
    header_findings,
    parse_header,
)
from aprgen.container.keys import NO_ACCESS, Access, Trust, fingerprint_of
from aprgen.container.limits import DEFAULT_LIMITS, Limits
from aprgen.container.loading import STANDARD, Checks
from aprgen.container.metadata import Metadata, read_metadata, require_metadata_bytes, write_metadata
from aprgen.container.source import Bytes, PagedFile, Source, as_source
from aprgen.container.suites import LEGACY, LEGACY_SIGNATURE_BYTES, LEGACY_SIGNER_BYTES
from aprgen.container.verification import UNSIGNED, State, Verification, plain_error, policy_error
from aprgen.errors import AprgenError, ContainerError, SecurityError, UnsupportedError

METADATA_COST = 96  # bytes of Python objects for each stored one, at most: maps without keys


@dataclass(frozen=True)
class SignatureBlock:
    """What lies after the payload of a SIGNED file: the signatures and the public keys of its suite."""

    signature: bytes
    public_key: bytes

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the signer's public key, in hex."""
        return fingerprint_of(self.public_key)


@dataclass(frozen=True)
class Encryption:
    """mode None: Standard files do not say. recipient_id: by which recipients of the other suites know their files."""

    suite: str
    mode: Mode | None
    recipient_id: bytes
    opened: bool


@dataclass(frozen=True)
class AprFile:
    """A sound v1 file. `payload` is unpacked: the bincode bytes of the model's struct, or a native payload."""

    header: Header
    metadata: Metadata
    payload: Bytes
    file_bytes: int
    crc: int  # as stored
    signature: SignatureBlock | None
    findings: tuple[str, ...]  # what aprender lets pass and a careful reader reports
    verification: Verification = UNSIGNED
    encryption: Encryption | None = None  # None: the file is a plain one

    @property
    def stored_bytes(self) -> int:
        """The payload as stored."""
        return self.header.payload_size


@dataclass(frozen=True)
class Inspection:
    """What can be shown of a v1 file, sound or not; parts that could not be read are None."""

    file_bytes: int
    header: Header | None = None
    metadata: Metadata | None = None
    payload: Bytes | None = None
    signature: SignatureBlock | None = None
    verification: Verification = UNSIGNED
    encryption: Encryption | None = None
    crc_expected: int | None = None  # as stored
    crc_actual: int | None = None  # None where the level does not compute it
    findings: tuple[str, ...] = ()
    problems: tuple[AprgenError, ...] = ()  # every failing check, the one that read_v1 raises first

    @property
    def crc_valid(self) -> bool:
        return self.crc_expected is not None and self.crc_expected == self.crc_actual


def read_v1(
    data: Bytes | Source, limits: Limits = DEFAULT_LIMITS, access: Access = NO_ACCESS, checks: Checks = STANDARD
) -> AprFile:
    """The file, or the first failing check as ContainerError or SecurityError."""
    found = inspect_v1(data, limits, access, checks)
    if found.problems:
        raise found.problems[0]
    # Without problems nothing is missing.
    assert found.header is not None
    assert found.metadata is not None
    assert found.payload is not None
    assert found.crc_expected is not None
    return AprFile(
        header=found.header,
        metadata=found.metadata,
        payload=found.payload,
        file_bytes=found.file_bytes,
        crc=found.crc_expected,
        signature=found.signature,
        findings=found.findings,
        verification=found.verification,
        encryption=found.encryption,
    )


def inspect_v1(
    data: Bytes | Source, limits: Limits = DEFAULT_LIMITS, access: Access = NO_ACCESS, checks: Checks = STANDARD
) -> Inspection:
    """Run every check of the level that can still be run; never raises for what the bytes say.

    Raises BudgetError, and ContainerError when the file changes while it is read.
    """
    source = as_source(data)
    size = source.size
    if size > limits.file_bytes:
        return Inspection(size, problems=(_too_large(size, limits),))
    head = bytes(source.piece(0, HEADER_BYTES))
    if head[: len(MAGIC)] != MAGIC:
        return Inspection(size, problems=(_no_magic(head),))
    if size < HEADER_BYTES + CRC_BYTES:
        return Inspection(size, problems=(_too_small(size),))

    header = parse_header(head)
    end = size - CRC_BYTES
    crc_expected = int.from_bytes(source.piece(end, size), "little")
    crc_actual = source.crc() if checks.checksum else None
    problems: list[AprgenError] = []
    if crc_actual is not None and crc_expected != crc_actual:
        problems.append(_bad_crc(crc_expected, crc_actual, header, end))
    problems += check_header(header, limits, allow_legacy=access.trust.allow_legacy)

    metadata: Metadata | None = None
    findings = header_findings(header)
    metadata_inside = header.payload_start <= end
    payload_inside = header.payload_end <= end
    if not payload_inside:
        problems.append(_outside(header, end))
    signature, framing = _trailer(source, header, end) if payload_inside else (None, ())
    problems += framing
    verification = UNSIGNED
    if payload_inside:
        verification, refused = _verified(source, header, signature, access.trust, checks)
        problems += refused
        findings += (verification.finding,) if verification.finding is not None else ()

    opened: bytes | None = None
    encryption: Encryption | None = None
    if header.encrypted:
        encryption, opened, closed = _opened(source, header, payload_inside, access, limits, may_open=not problems)
        problems += closed
    elif access.secrets.given:
        problems.append(plain_error("byte 21, in the header"))
    if metadata_inside:
        try:
            padding = NATIVE_ALIGNMENT if header.native else 0
            described = _described(source, header, limits)
            metadata, more = read_metadata(described, HEADER_BYTES, limits, padding=padding)
            findings += more + _flag_findings(header, metadata)
            if checks.strict and write_metadata(metadata, alignment=max(1, padding)) != described:
                findings += ("the metadata is not spelled as aprender and aprgen spell it",)
        except ContainerError as error:
            problems.append(error)

    if checks.strict:
        problems += (_not_strict(finding) for finding in findings if finding != verification.finding)
    payload: Bytes | None = None
    unpackable = header.compression in COMPRESSIONS and header.uncompressed_size <= limits.payload_bytes
    if unpackable and (opened is not None or (payload_inside and not header.encrypted)):
        try:
            payload = _unpacked(source, header, opened, limits)
            if checks.twice and payload != _unpacked(source, header, opened, limits):
                problems.append(_unstable(header))
        except ContainerError as error:
            problems.append(error)
    return Inspection(
        file_bytes=size,
        header=header,
        metadata=metadata,
        payload=payload,
        signature=signature,
        verification=verification,
        encryption=encryption,
        crc_expected=crc_expected,
        crc_actual=crc_actual,
        findings=findings,
        problems=tuple(problems),
    )


def _described(source: Source, header: Header, limits: Limits) -> bytes:
    """The metadata as stored, and room for what it becomes."""
    require_metadata_bytes(header.metadata_size, HEADER_BYTES, limits)
    limits.take(METADATA_COST * header.metadata_size, "the metadata", f"byte {HEADER_BYTES}, in the metadata")
    return bytes(source.piece(HEADER_BYTES, header.payload_start))


def _unpacked(source: Source, header: Header, opened: bytes | None, limits: Limits) -> Bytes:
    """The payload: `opened` or what lies in the file, decompressed."""
    start, stop = header.payload_start, header.payload_end
    method, claim = header.compression, header.uncompressed_size
    if opened is not None:
        return compression.decompress(method, opened, claim, start, limits)
    if isinstance(source, PagedFile):
        windows = source.windows(start, stop)
        return compression.decompress_windows(method, windows, stop - start, claim, start, limits)
    if method != compression.NONE:
        return compression.decompress(method, memoryview(source.data)[start:stop], claim, start, limits)
    if isinstance(source.data, bytes):
        limits.take(stop - start, "the payload")
    return compression.decompress(method, source.piece(start, stop), claim, start, limits)


def _not_strict(finding: str) -> ContainerError:
    return ContainerError(
        "container.strict", f"verification level paranoid refuses: {finding}", where="header and metadata",
        hint="export the model again, or take a lower level: standard reports it and goes on",
    )  # fmt: skip


def _unstable(header: Header) -> ContainerError:
    return ContainerError(
        "container.unstable", "unpacking the payload twice gives two results",
        where=f"byte {header.payload_start}, in the payload",
        hint="the memory or processor of this machine is at fault: test it, and load the file elsewhere",
    )  # fmt: skip


def _too_large(size: int, limits: Limits) -> ContainerError:
    return ContainerError(
        "container.limit",
        f"the file has {size} bytes, the limit is {limits.file_bytes}",
        where="the whole file",
        hint="raise Limits.file_bytes if you trust the file",
    )


def _too_small(size: int) -> ContainerError:
    return ContainerError(
        "container.truncated",
        f"the file has {size} bytes, an .apr file at least {HEADER_BYTES + CRC_BYTES}",
        where=f"byte {size}, the end of the file",
        hint="the file is truncated; export or copy it again",
    )


def _no_magic(data: bytes) -> ContainerError:
    return ContainerError(
        "container.magic",
        f"no .apr file: it starts with {data[:4].hex(' ')}, not 41 50 52 4e" if data else "the file is empty",
        where="byte 0",
        hint="give a file that aprender or aprgen wrote",
    )


def _bad_crc(expected: int, actual: int, header: Header, end: int) -> ContainerError:
    if header.payload_end > end:
        hint = "the file is truncated: the header promises more bytes than there are; copy it again"
    else:
        hint = "the file was damaged or edited; export or copy it again"
    return ContainerError(
        "container.crc",
        f"checksum mismatch: the file says {expected:#010x}, its bytes give {actual:#010x}",
        where=f"byte {end}, the last four bytes",
        hint=hint,
    )


def _outside(header: Header, end: int) -> ContainerError:
    return ContainerError(
        "container.bounds",
        f"metadata ({header.metadata_size} bytes) and payload ({header.payload_size}) end at byte "
        f"{header.payload_end}, the checksum starts at {end}",
        where="byte 8, in the header",
        hint="the file is truncated; export or copy it again",
    )


def _encrypted(header: Header) -> SecurityError:
    return SecurityError(
        "security.encrypted",
        "the model is encrypted, and no key or password was given",
        where=f"byte 21, in the header; the encrypted payload starts at byte {header.payload_start}",
        hint="open it with --key F or --password-file F (aprgen decrypt writes a plain file); `aprgen inspect` shows "
        "header and metadata",
    )


def _legacy_encrypted(header: Header) -> SecurityError:
    return SecurityError(
        "security.suite",
        "the payload is encrypted with LegacyRSA, which cannot be opened",
        where=f"byte {header.payload_start}, the encrypted payload",
        hint="ask its author for a file of another suite",
    )


def _opened(
    source: Source, header: Header, payload_inside: bool, access: Access, limits: Limits, *, may_open: bool
) -> tuple[Encryption | None, bytes | None, tuple[AprgenError, ...]]:
    """What is known of the encryption, and the payload as it was before, if there is a secret that opens it.

    Nothing is decrypted of a file with other faults: its signature is worth something only before.
    """
    suite = header.cipher_suite
    if suite is None:
        return None, None, (_legacy_encrypted(header) if header.suite == LEGACY else _encrypted(header),)
    problems: tuple[AprgenError, ...] = () if access.secrets.given else (_encrypted(header),)
    if not payload_inside:
        return None, None, problems
    mode: Mode | None = None
    recipient_id = b""
    if isinstance(source, PagedFile) and not source.stays_open:
        return None, None, (*problems, _not_streamed(header))
    limits.take(2 * header.payload_end, "the encrypted payload and what it opens to")
    head = memoryview(source.piece(0, header.payload_start))
    payload = memoryview(source.piece(header.payload_start, header.payload_end))
    if suite.envelope:
        try:
            envelope = parse_envelope(suite, payload, header.payload_start, limits)
        except AprgenError as error:
            return None, None, (*problems, error)
        mode, recipient_id = envelope.mode, envelope.recipient_id
        if envelope.promises_signature and not header.signed:
            problems += (_broken_promise(header),)
    problems += _encrypted_size(header, mode)
    if problems or not may_open:
        return Encryption(suite.name, mode, recipient_id, False), None, problems
    from aprgen.container.encryption import open_payload

    try:
        stored = open_payload(suite, head, payload, access.secrets, limits)
    except AprgenError as error:
        return Encryption(suite.name, mode, recipient_id, False), None, (error,)
    return Encryption(suite.name, mode, recipient_id, True), stored, ()


def _not_streamed(header: Header) -> UnsupportedError:
    return UnsupportedError(
        "container.streaming",
        "an encrypted payload cannot be streamed: that it is whole shows at its last byte, and nothing is used before",
        where=f"byte {header.payload_start}, the encrypted payload",
        hint="use --mode eager or mapped",
    )


def _broken_promise(header: Header) -> SecurityError:
    return SecurityError(
        "security.signature",
        "the encrypted payload says that the file is signed, and it is not",
        where=f"byte {header.payload_start}, the envelope of the encrypted payload",
        hint="the signature was removed; get the signed file again from its author",
    )


def _encrypted_size(header: Header, mode: Mode | None) -> tuple[AprgenError, ...]:
    """Salt or key, nonce and tag need their bytes, and an uncompressed payload shows how many there must be."""
    suite = header.cipher_suite
    assert suite is not None
    overheads = [overhead_bytes(suite, one) for one in ("password", "recipient") if mode in (None, one)]
    overhead = header.payload_size - (header.uncompressed_size if header.compression == 0 else 0)
    exact = header.compression != 0 or overhead in overheads
    if exact and header.payload_size >= min(overheads):
        return ()
    return (
        ContainerError(
            "container.size",
            f"{header.payload_size} bytes cannot be the encryption of {header.uncompressed_size}",
            where="byte 12, in the header",
            hint="the file is damaged or edited; export it again",
        ),
    )


def _block_sizes(header: Header) -> tuple[int, int] | None:
    """Bytes of signatures and of keys in the block of a SIGNED file; None where byte 23 names no suite."""
    if header.suite == LEGACY:
        return LEGACY_SIGNATURE_BYTES, LEGACY_SIGNER_BYTES
    suite = header.cipher_suite
    return None if suite is None else (suite.signature_bytes, suite.signer_bytes)


def _trailer(source: Source, header: Header, end: int) -> tuple[SignatureBlock | None, tuple[AprgenError, ...]]:
    """What lies between payload and checksum: the block of a SIGNED file, otherwise nothing."""
    extra = end - header.payload_end
    sizes = _block_sizes(header) if header.signed else (0, 0)
    if sizes is None:
        return None, ()  # how long the block is only the suite tells
    needed = sum(sizes)
    if extra < needed:
        return None, (
            SecurityError(
                "security.signature",
                f"the SIGNED flag is set, but {extra} bytes follow the payload where {needed} are needed",
                where=f"byte {header.payload_end}, after the payload",
                hint="the signature was cut off; get the signed file again from its author",
            ),
        )
    block: SignatureBlock | None = None
    if header.signed:
        key = header.payload_end + sizes[0]
        signature, signer = source.piece(header.payload_end, key), source.piece(key, key + sizes[1])
        block = SignatureBlock(bytes(signature), bytes(signer))
    start = header.payload_end + needed
    if start < end:
        return block, (
            ContainerError(
                "container.trailing",
                f"{end - start} bytes between payload and checksum belong to nothing",
                where=f"byte {start}, after the {'signature block' if block else 'payload'}",
                hint="the file was edited, or its SIGNED flag was removed; export it again",
            ),
        )
    return block, ()


def _verified(
    source: Source, header: Header, block: SignatureBlock | None, trust: Trust, checks: Checks
) -> tuple[Verification, tuple[AprgenError, ...]]:
    """Who signed, and why the file must not be taken. A SIGNED file without its block is `_trailer`'s to refuse."""
    where = f"byte {header.payload_end}, the signature block"
    if block is None:
        refused = None if header.signed else policy_error(UNSIGNED, trust, "byte 21, in the header")
        return UNSIGNED, () if refused is None else (refused,)
    suite = header.cipher_suite
    if suite is None:
        found = Verification("unverifiable", header.suite_name, block.fingerprint)
    elif not (checks.signature or trust.needs_signature):  # what the caller demands, every level verifies
        found = Verification("skipped", suite.name, block.fingerprint)
    else:
        from aprgen.container.signature import verify, verify_windows

        try:
            if isinstance(source, PagedFile):
                message = source.windows(0, header.payload_end)
                verify_windows(suite, message, block.signature, block.public_key, where)
            else:
                signed = memoryview(source.piece(0, header.payload_end))
                verify(suite, signed, block.signature, block.public_key, where)
        except SecurityError as error:
            return Verification("invalid", suite.name, block.fingerprint), (error,)
        name = trust.name_of(suite, block.public_key)
        state: State = "unverified" if trust.keys is None else "unknown" if name is None else "trusted"
        found = Verification(state, suite.name, block.fingerprint, name or "")
    refused = policy_error(found, trust, where)
    return found, () if refused is None else (refused,)


def _flag_findings(header: Header, metadata: Metadata) -> tuple[str, ...]:
    findings: list[str] = []
    if header.flags & LICENSED and metadata.license is None:
        findings.append("the LICENSED flag is set, but the metadata holds no license")
    if header.flags & HAS_MODEL_CARD and metadata.model_card is None:
        findings.append("the HAS_MODEL_CARD flag is set, but the metadata holds no model card")
    return tuple(findings)
