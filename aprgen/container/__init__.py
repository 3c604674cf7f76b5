"""Files of the `.apr` family: bytes to framing, metadata and payload, and back.

The magic chooses the reader. Knows nothing of models; `families` decodes the payload.
"""

from __future__ import annotations

from aprgen.container import v2
from aprgen.container.header import Header
from aprgen.container.keys import NO_ACCESS, Access, PublicKey, SecretKey, Secrets, Trust, TrustedKey
from aprgen.container.limits import DEFAULT_LIMITS, Limits
from aprgen.container.loading import DEFAULT_LOADING, STANDARD, Checks, Level, Loading, Mode
from aprgen.container.metadata import Metadata
from aprgen.container.plain import write_v1
from aprgen.container.source import Bytes, MemoryFile, PagedFile, Source, as_source, load_bytes, open_source
from aprgen.container.v1 import AprFile, Encryption, Inspection, SignatureBlock, inspect_v1, read_v1
from aprgen.container.v2 import AprV2File, Tensor, TensorEntry, V2Header, V2Inspection, inspect_v2, read_v2
from aprgen.container.verification import Verification
from aprgen.errors import ContainerError

__all__ = [
    "DEFAULT_LIMITS",
    "DEFAULT_LOADING",
    "NO_ACCESS",
    "STANDARD",
    "Access",
    "AprFile",
    "AprV2File",
    "Bytes",
    "Checks",
    "Encryption",
    "Header",
    "Inspection",
    "Level",
    "Limits",
    "Loading",
    "MemoryFile",
    "Metadata",
    "Mode",
    "PagedFile",
    "PublicKey",
    "SecretKey",
    "Secrets",
    "SignatureBlock",
    "Source",
    "Tensor",
    "TensorEntry",
    "Trust",
    "TrustedKey",
    "V2Header",
    "V2Inspection",
    "Verification",
    "as_source",
    "inspect_container",
    "inspect_v1",
    "inspect_v2",
    "load_bytes",
    "open_container",
    "open_source",
    "read_v1",
    "read_v2",
    "write_v1",
]

LEGACY_MAGICS = (b"APR1", b"APR2")


def open_container(
    data: Bytes | Source, limits: Limits = DEFAULT_LIMITS, access: Access = NO_ACCESS, checks: Checks = STANDARD
) -> AprFile | AprV2File:
    """A sound file, or the first failing check as ContainerError, SecurityError or UnsupportedError.

    BudgetError when it takes more than the account in `limits` holds.
    """
    source = as_source(data)
    magic = bytes(source.piece(0, 4))
    _refuse_legacy(magic)
    read = read_v2 if magic == v2.MAGIC else read_v1
    return read(source, limits, access, checks)


def inspect_container(
    data: Bytes | Source, limits: Limits = DEFAULT_LIMITS, access: Access = NO_ACCESS, checks: Checks = STANDARD
) -> Inspection | V2Inspection:
    """What can be shown of the file, with every failing check; raises nothing for what the bytes say."""
    source = as_source(data)
    magic = bytes(source.piece(0, 4))
    try:
        _refuse_legacy(magic)
    except ContainerError as error:
        return Inspection(source.size, problems=(error,))
    inspect = inspect_v2 if magic == v2.MAGIC else inspect_v1
    return inspect(source, limits, access, checks)


def _refuse_legacy(magic: bytes) -> None:
    if magic in LEGACY_MAGICS:
        raise ContainerError(
            "container.legacy",
            f"the file starts with {magic.decode()}, a magic that no aprender release writes",
            where="byte 0",
            hint="save the model again with a current aprender",
        )
