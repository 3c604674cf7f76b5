"""Everything that can be learned of a file, sound or not: its container, its model, and every failing check.

Knows the order of the checks; prints nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aprgen.container import (
    DEFAULT_LIMITS,
    DEFAULT_LOADING,
    NO_ACCESS,
    STANDARD,
    Access,
    Bytes,
    Checks,
    Inspection,
    Limits,
    Loading,
    Source,
    V2Inspection,
    as_source,
    inspect_container,
    open_source,
    read_v2,
)
from aprgen.errors import AprgenError, BudgetError, UsageError
from aprgen.families import network
from aprgen.families.base import Model
from aprgen.loaded import check_model, decode_payload, require_plain, require_sound

ENCRYPTED = "security.encrypted"

State = Literal["ok", "failed", "not checked"]


@dataclass(frozen=True)
class Examination:
    """decode_problem: why the payload is no model; model_problem: why the model cannot be compiled."""

    path: Path
    data_bytes: int
    sha256: str
    found: Inspection | V2Inspection
    model: Model | None
    candidates: tuple[str, ...]
    decode_problem: AprgenError | None
    model_problem: AprgenError | None

    @property
    def problems(self) -> tuple[AprgenError, ...]:
        """Every failing check, the first that counts first."""
        later = (self.decode_problem, self.model_problem)
        return (*self.found.problems, *(problem for problem in later if problem is not None))

    @property
    def encrypted(self) -> bool:
        return any(problem.code == ENCRYPTED for problem in self.found.problems)

    @property
    def findings(self) -> tuple[str, ...]:
        """What a careful reader reports about a sound file."""
        if len(self.candidates) < 2:
            return self.found.findings
        names = " and ".join(self.candidates)
        return (*self.found.findings, f"the bytes fit {names} alike; taken as {self.candidates[0]} (--as chooses)")


def examine(
    path: Path, struct: str | None = None, access: Access = NO_ACCESS, loading: Loading = DEFAULT_LOADING
) -> Examination:
    """Read the file and check what can be checked; raises only for a file that cannot be read, or a wrong --as.

    The file may still be read as long as the Examination is used, in modes that do that.
    """
    limits = DEFAULT_LIMITS.within(loading.memory_bytes)
    return examine_source(open_source(path, loading, limits), path, struct, access, limits, loading.checks)


def examine_source(
    data: Bytes | Source, path: Path, struct: str | None = None, access: Access = NO_ACCESS,
    limits: Limits = DEFAULT_LIMITS, checks: Checks = STANDARD,
) -> Examination:  # fmt: skip
    """The same of bytes that come from there."""
    source = as_source(data)
    found = inspect_container(source, limits, access, checks)
    model: Model | None = None
    candidates: tuple[str, ...] = ()
    decode_problem: AprgenError | None = None
    model_problem: AprgenError | None = None
    try:
        if isinstance(found, V2Inspection):
            model, candidates = _v2_model(source, found, limits, checks)
        else:
            model, candidates = _v1_model(found, struct, limits, checks)
    except (UsageError, BudgetError):
        raise
    except AprgenError as error:
        decode_problem = error
    if model is not None:
        try:
            check_model(model)
            if checks.sound and not found.problems:
                require_sound(model)
        except AprgenError as error:
            model_problem = error
    return Examination(
        path, source.size, source.sha256, found, model, candidates, decode_problem, model_problem
    )


def _v1_model(
    found: Inspection, struct: str | None, limits: Limits, checks: Checks
) -> tuple[Model | None, tuple[str, ...]]:
    """The model, tried whenever there is an unpacked payload: a damaged checksum does not hide the structure."""
    if found.header is None or found.payload is None:
        return None, ()
    decoded = decode_payload(
        found.header, found.metadata, found.payload, struct=struct, limits=limits, checks=checks
    )  # fmt: skip
    if checks.strict:
        require_plain(decoded)
    return decoded.model, decoded.candidates


def _v2_model(
    source: Source, found: V2Inspection, limits: Limits, checks: Checks
) -> tuple[Model | None, tuple[str, ...]]:
    if found.problems:
        return None, ()
    file = read_v2(source, limits, checks=checks)
    return network.from_tensors({tensor.name: tensor.values for tensor in file.tensors}, file.metadata), ("Sequential",)


@dataclass(frozen=True)
class Check:
    name: str
    about: str
    state: State
    problems: tuple[AprgenError, ...] = ()


def checks(seen: Examination) -> tuple[Check, ...]:
    """One entry per check, in their order, with every problem under the check that found it."""
    found = seen.found
    v2 = isinstance(found, V2Inspection)
    sorted_problems: dict[str, list[AprgenError]] = {}
    for problem in found.problems:
        sorted_problems.setdefault(_check_of(problem), []).append(problem)
    if seen.decode_problem is not None:
        sorted_problems["payload"] = [seen.decode_problem]
    if seen.model_problem is not None:
        sorted_problems["model"] = [seen.model_problem]
    has_header = found.header is not None
    has_data = (found.entries if isinstance(found, V2Inspection) else found.payload) is not None
    done = {
        "framing": True,
        "checksum": has_header and found.crc_actual is not None,
        "header": has_header,
        "security": has_header,
        "metadata": found.metadata is not None,
        "tensors": has_data,
        "compression": has_data,
        "payload": seen.model is not None,
        "model": seen.model is not None,
    }
    result = []
    for name, about in _V2_CHECKS if v2 else _V1_CHECKS:
        problems = tuple(sorted_problems.get(name, ()))
        state: State = "failed" if problems else "ok" if done[name] else "not checked"
        result.append(Check(name, about, state, problems))
    return tuple(result)


_V1_CHECKS = (
    ("framing", "magic, sizes, and no byte that belongs to nothing"),
    ("checksum", "CRC-32 of the whole file"),
    ("header", "version, model type, claimed sizes, compression"),
    ("security", "cipher suite, signature and signer, encryption"),
    ("metadata", "MessagePack and the fields in it"),
    ("compression", "the payload unpacks to the size that the header claims"),
    ("payload", "the bytes are the struct of the model type, to the last one"),
    ("model", "fitted, and its parameters make sense"),
)
_V2_CHECKS = (
    ("framing", "magic, sizes, offsets"),
    ("checksum", "CRC-32 of the header and of the whole file"),
    ("header", "version, flags, layout"),
    ("security", "encryption, signature"),
    ("metadata", "JSON"),
    ("tensors", "the index: names, types, shapes, places"),
    ("payload", "the tensors are a network"),
    ("model", "its parameters make sense"),
)
_BY_CODE = {
    "container.crc": "checksum",
    "container.bounds": "framing",
    "container.index": "tensors",
    "container.tensor": "tensors",
    "container.dtype": "tensors",
    "container.envelope": "security",
}
_BY_PLACE = (
    ("in the payload", "compression"),
    ("metadata", "metadata"),
    ("tensor index", "tensors"),
    ("in the header", "header"),
)


def _check_of(problem: AprgenError) -> str:
    """Some codes (a limit, a size) occur in several places, so the place decides where the code does not."""
    if problem.code.startswith("security."):
        return "security"
    by_code = _BY_CODE.get(problem.code)
    return by_code or next((check for place, check in _BY_PLACE if place in problem.where), "framing")
