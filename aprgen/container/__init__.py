"""Files of the `.apr` family: bytes to framing, metadata and payload, and back.

The magic chooses the reader. Knows nothing of models; `families` decodes the payload.
"""

from __future__ import annotations

from pathlib import Path

from aprgen.container import v2
from aprgen.container.header import Header
from aprgen.container.keys import NO_ACCESS, Access, PublicKey, SecretKey, Secrets, Trust, TrustedKey
from aprgen.container.limits import DEFAULT_LIMITS, Limits
from aprgen.container.metadata import Metadata
from aprgen.container.v1 import AprFile, Encryption, Inspection, SignatureBlock, inspect_v1, read_v1, write_v1
from aprgen.container.v2 import AprV2File, Tensor, TensorEntry, V2Header, V2Inspection, inspect_v2, read_v2
from aprgen.container.verification import Verification
from aprgen.errors import ContainerError, UsageError

__all__ = [
    "DEFAULT_LIMITS",
    "NO_ACCESS",
    "Access",
    "AprFile",
    "AprV2File",
    "Encryption",
    "Header",
    "Inspection",
    "Limits",
    "Metadata",
    "PublicKey",
    "SecretKey",
    "Secrets",
    "SignatureBlock",
    "Tensor",
    "TensorEntry",
    "Trust",
    "TrustedKey",
    "V2Header",
    "V2Inspection",
    "Verification",
    "inspect_container",
    "inspect_v1",
    "inspect_v2",
    "load_bytes",
    "open_container",
    "read_v1",
    "read_v2",
    "write_v1",
]

LEGACY_MAGICS = (b"APR1", b"APR2")


def open_container(data: bytes, limits: Limits = DEFAULT_LIMITS, access: Access = NO_ACCESS) -> AprFile | AprV2File:
    """A sound file, or the first failing check as ContainerError, SecurityError or UnsupportedError."""
    _refuse_legacy(data)
    return read_v2(data, limits, access) if data[:4] == v2.MAGIC else read_v1(data, limits, access)


def inspect_container(
    data: bytes, limits: Limits = DEFAULT_LIMITS, access: Access = NO_ACCESS
) -> Inspection | V2Inspection:
    """What can be shown of the file, with every failing check; raises nothing for what the bytes say."""
    try:
        _refuse_legacy(data)
    except ContainerError as error:
        return Inspection(len(data), problems=(error,))
    return inspect_v2(data, limits, access) if data[:4] == v2.MAGIC else inspect_v1(data, limits, access)


def load_bytes(path: Path, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """The file's bytes, never more than the limit: a device or a huge file must not fill the memory."""
    try:
        with path.open("rb") as file:
            data = file.read(limits.file_bytes + 1)
    except OSError as error:
        raise UsageError(
            "file.unreadable",
            f"cannot read {path}: {error.strerror}",
            where=str(path),
            hint="give the path of an .apr file that you may read",
        ) from None
    if len(data) > limits.file_bytes:
        raise ContainerError(
            "container.limit",
            f"the file has more than {limits.file_bytes} bytes",
            where=str(path),
            hint="raise Limits.file_bytes if you trust the file",
        )
    return data


def _refuse_legacy(data: bytes) -> None:
    if data[:4] in LEGACY_MAGICS:
        raise ContainerError(
            "container.legacy",
            f"the file starts with {data[:4].decode()}, a magic that no aprender release writes",
            where="byte 0",
            hint="save the model again with a current aprender",
        )
