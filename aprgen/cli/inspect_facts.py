"""What `aprgen inspect` shows of a file, and the keys of its JSON form. Prints nothing."""

from __future__ import annotations

from datetime import UTC, datetime

from aprgen.cli.examination import ENCRYPTED, Examination
from aprgen.cli.report import error_facts
from aprgen.container import Header, Inspection, V2Header, V2Inspection
from aprgen.container.metadata import as_json
from aprgen.errors import AprgenError, ContainerError, SecurityError


def first_damage(seen: Examination) -> AprgenError | None:
    """The first problem that makes the file a bad one, not merely one that cannot be compiled."""
    bad = (problem for problem in seen.problems if isinstance(problem, ContainerError | SecurityError))
    return next((problem for problem in bad if problem.code != ENCRYPTED), None)


def kind_of(seen: Examination) -> str:
    if isinstance(seen.found, V2Inspection):
        return "APR v2"
    return "no .apr file" if seen.found.header is None else "APR v1"


def unpacked_bytes(seen: Examination) -> int | None:
    """Of the payload; for encrypted and damaged files what the header claims is not repeated as a fact."""
    if isinstance(seen.found, V2Inspection):
        entries = seen.found.entries
        return None if entries is None else sum(4 * entry.n_elements for entry in entries)
    return None if seen.found.payload is None else len(seen.found.payload)


def stored_bytes(seen: Examination) -> int | None:
    if isinstance(seen.found, V2Inspection):
        entries = seen.found.entries
        return None if entries is None else sum(entry.size for entry in entries)
    return None if seen.found.header is None else seen.found.header.payload_size


def ratio(seen: Examination) -> float | None:
    """How many unpacked bytes one stored byte holds."""
    stored, unpacked = stored_bytes(seen), unpacked_bytes(seen)
    return None if not stored or unpacked is None else unpacked / stored


def creation_date(created_at: str) -> str | None:
    """Decimal Unix seconds, as aprender writes them, as a date; None for anything else."""
    if not (created_at.isascii() and created_at.isdecimal() and len(created_at) <= 11):
        return None
    return datetime.fromtimestamp(int(created_at), UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def facts(seen: Examination) -> dict[str, object]:
    """The whole report; keys are stable, parts that could not be read are null."""
    found = seen.found
    return {
        "file": {
            "path": str(seen.path),
            "kind": kind_of(seen),
            "bytes": seen.data_bytes,
            "sha256": seen.sha256,
            "payload_bytes_stored": stored_bytes(seen),
            "payload_bytes_unpacked": unpacked_bytes(seen),
            "ratio": ratio(seen),
        },
        "header": _v2_header(found) if isinstance(found, V2Inspection) else _v1_header(found),
        "metadata": _metadata(found),
        "signature": signature_facts(found),
        "encryption": _encryption(found),
        "tensors": _tensors(found) if isinstance(found, V2Inspection) else None,
        "structure": _structure(seen),
        "findings": list(seen.findings),
        "problems": [error_facts(problem) for problem in seen.problems],
    }


def _checksum(found: Inspection | V2Inspection) -> dict[str, object]:
    def word(value: int | None) -> str | None:
        return None if value is None else f"{value:#010x}"

    return {"stored": word(found.crc_expected), "computed": word(found.crc_actual), "valid": found.crc_valid}


def _v1_header(found: Inspection) -> dict[str, object] | None:
    header: Header | None = found.header
    if header is None:
        return None
    return {
        "magic": "APRN",
        "version": f"{header.major}.{header.minor}",
        "model_type": header.model_type,
        "model_type_name": header.model_type_name,
        "flags": header.flags,
        "flag_names": list(header.flag_names),
        "compression": header.compression,
        "compression_name": header.compression_name,
        "quality": header.quality or None,
        "cipher_suite": header.suite,
        "cipher_suite_name": header.suite_name,
        "metadata_size": header.metadata_size,
        "payload_size": header.payload_size,
        "uncompressed_size": header.uncompressed_size,
        "checksum": _checksum(found),
    }


def _v2_header(found: V2Inspection) -> dict[str, object] | None:
    header: V2Header | None = found.header
    if header is None:
        return None
    return {
        "magic": "APR\0",
        "version": f"{header.major}.{header.minor}",
        "flags": header.flags,
        "flag_names": list(header.flag_names),
        "tensor_count": header.tensor_count,
        "metadata_offset": header.metadata_offset,
        "metadata_size": header.metadata_size,
        "index_offset": header.index_offset,
        "data_offset": header.data_offset,
        "checksum": _checksum(found),
    }


def _metadata(found: Inspection | V2Inspection) -> dict[str, object] | None:
    if found.metadata is None:
        return None
    if isinstance(found, V2Inspection):
        return dict(found.metadata)
    assert isinstance(found, Inspection)
    assert found.metadata is not None
    return {"created_at_utc": creation_date(found.metadata.created_at), **as_json(found.metadata)}


def signature_facts(found: Inspection | V2Inspection) -> dict[str, object]:
    """state: a sentence; verified: whether a key that was given as trusted made it."""
    block = found.signature if isinstance(found, Inspection) else None
    if block is None:
        return {
            "present": False, "state": "none", "verified": False, "suite": None, "signer": None, "public_key": None,
            "fingerprint": None,
        }  # fmt: skip
    assert isinstance(found, Inspection)
    verification = found.verification
    return {
        "present": True,
        "state": verification.sentence,
        "verified": verification.state == "trusted",
        "suite": verification.suite,
        "signer": verification.name or None,
        "public_key": block.public_key.hex(),
        "fingerprint": block.fingerprint,
    }


def _encryption(found: Inspection | V2Inspection) -> dict[str, object]:
    """opened: whether the secret that was given opens the payload; mode null: the file does not say."""
    if isinstance(found, V2Inspection) or found.header is None or not found.header.encrypted:
        return {"present": False, "suite": None, "mode": None, "recipient_id": None, "opened": False}
    known = found.encryption
    return {
        "present": True,
        "suite": None if known is None else known.suite,
        "mode": None if known is None else known.mode,
        "recipient_id": (known.recipient_id.hex() or None) if known is not None else None,
        "opened": known is not None and known.opened,
    }


def _tensors(found: V2Inspection) -> list[dict[str, object]] | None:
    if found.entries is None:
        return None
    return [
        {"name": entry.name, "type": entry.type.name, "shape": list(entry.shape), "bytes": entry.size}
        for entry in found.entries
    ]


def state_of(seen: Examination) -> str:
    """Of the structure: decoded, encrypted, unknown (sound, but no layout) or unreadable."""
    if seen.model is not None:
        return "decoded"
    if seen.encrypted:
        return "encrypted"
    return "unknown" if first_damage(seen) is None else "unreadable"


def _structure(seen: Examination) -> dict[str, object]:
    model = seen.model
    reason = seen.model_problem or seen.decode_problem
    return {
        "state": state_of(seen),
        "family": None if model is None else model.family,
        "struct": None if model is None else model.struct,
        "candidates": list(seen.candidates),
        "compiles": not seen.problems,
        "reason": None if reason is None else reason.what,
        "facts": {} if model is None else {fact.label: fact.value for fact in model.facts()},
    }
