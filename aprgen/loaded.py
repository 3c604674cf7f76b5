"""From the bytes of an .apr file to the model in it, on every verification level.

Knows which checks follow the container's own; reads no files, and knows nothing of targets or C.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import cast

import numpy as np

from aprgen.container import (
    DEFAULT_LIMITS,
    NO_ACCESS,
    STANDARD,
    Access,
    AprFile,
    AprV2File,
    Bytes,
    Checks,
    Header,
    Limits,
    MemoryFile,
    Metadata,
    PagedFile,
    Source,
    Verification,
    as_source,
    open_container,
)
from aprgen.container.cursor import Origin
from aprgen.container.source import Watch
from aprgen.errors import PayloadError, UnsupportedError
from aprgen.families import decode_model, network
from aprgen.families.base import Model
from aprgen.families.programmed import Programmed
from aprgen.native import read_native, read_record, write_native
from aprgen.program import Program
from aprgen.rows import random_rows, text_array

HINT_KEY = "aprgen.struct"  # in the metadata's `custom`: which struct the payload is
MAX_FEATURES = 65_536  # wider rows than any sensor or text of a device has
TEST_ROWS = 4
WITH_TREES = (0x0003, 0x0004, 0x0005, 0x0040, 0x00FF)  # model types; the last one is the user's own, any struct
EDIT_HINT = "the file is damaged or was edited; export it again"


@dataclass(frozen=True)
class Loaded:
    """A model out of a sound file."""

    model: Model
    container: AprFile | AprV2File
    candidates: tuple[str, ...]  # structs that fit the payload, the chosen one first
    sha256: str  # of the file
    record_of: Callable[[], Bytes] | None = None  # the payload as the original library writes it, where there is one
    notes: tuple[str, ...] = ()  # what a careful reader reports about the payload
    watch: Watch | None = None  # of the file, where it was mapped or is still read

    @property
    def record(self) -> bytes | None:
        """The payload as the original library writes it, where the file holds that."""
        return None if self.record_of is None else bytes(self.record_of())

    @property
    def verification(self) -> Verification:
        """Who signed the file, as far as that is known."""
        return self.container.verification if isinstance(self.container, AprFile) else Verification()

    @property
    def signer(self) -> str:
        """For the banner and the manifest."""
        return self.verification.signer

    @property
    def was_encrypted(self) -> bool:
        return isinstance(self.container, AprFile) and self.container.encryption is not None

    @property
    def findings(self) -> tuple[str, ...]:
        """What a careful reader reports about a sound file."""
        found = (*self.container.findings, *self.notes)
        if len(self.candidates) < 2:
            return found
        names = " and ".join(self.candidates)
        return (*found, f"the bytes fit {names} alike; taken as {self.candidates[0]}")

    def require_same(self) -> None:
        """Raise ContainerError when the file of a mapped or lazy model was cut or written to since it was loaded."""
        if self.watch is not None:
            self.watch.require_same()


@dataclass(frozen=True)
class Payload:
    """What the payload of a v1 file says."""

    model: Model
    candidates: tuple[str, ...]
    record_of: Callable[[], Bytes] | None
    notes: tuple[str, ...] = ()


class LateModel:
    """A model that is put together when something is first asked of it."""

    def __init__(self, make: Callable[[], Model]) -> None:
        self._make = make

    @cached_property
    def _model(self) -> Model:
        return self._make()

    def __getattr__(self, name: str) -> object:
        return getattr(self._model, name)


def load_model(
    data: Bytes | Source,
    *,
    struct: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
    access: Access = NO_ACCESS,
    checks: Checks = STANDARD,
    record_only: bool = False,
) -> Loaded:
    """The model in the bytes of an .apr file; `struct` names the payload's struct where the file cannot.

    `access` says whom to trust and what may open an encrypted payload; checks: of the verification level. record_only:
    of a native payload that keeps its original, take that and leave the computation alone, which may be outdated.
    Raises ContainerError, SecurityError, PayloadError, UnsupportedError, or BudgetError where `limits` has an account.
    The model may still be unfitted: check().
    """
    source = as_source(data)
    container = open_container(source, limits, access, checks)
    late = isinstance(source, PagedFile) and source.stays_open
    watch = source.watch if isinstance(source, MemoryFile) or late else None
    if isinstance(container, AprV2File):
        make = partial(_network, container)
        model = cast(Model, LateModel(make)) if late else make()
        loaded = Loaded(model, container, ("Sequential",), source.sha256, watch=watch)
    else:
        origin = _origin(source, container) if late else None
        found = decode_payload(
            container.header, container.metadata, container.payload, struct=struct, limits=limits, checks=checks,
            origin=origin, record_only=record_only,
        )  # fmt: skip
        if origin is not None and not origin.stays:
            start, stop = container.header.payload_start, container.header.payload_end
            found = replace(found, record_of=partial(source.piece, start, stop))
            container = replace(container, payload=b"")  # it is in the file
        loaded = Loaded(
            found.model, container, found.candidates, source.sha256, found.record_of, found.notes, watch
        )  # fmt: skip
        if checks.strict:
            require_plain(found)
    if checks.sound:
        require_sound(loaded.model)
    return loaded


def _network(container: AprV2File) -> Model:
    return network.from_tensors({tensor.name: tensor.values for tensor in container.tensors}, container.metadata)


def _origin(source: Source, container: AprFile) -> Origin | None:
    """Where trees are read from later: the file, or the payload that is unpacked already. None where there are none:
    all else of a payload is a view of it."""
    if container.header.model_type not in WITH_TREES or container.header.native:
        return None
    if not container.header.in_place:
        payload = container.payload
        return Origin(lambda start, stop: payload[start:stop], stays=True)
    base = container.header.payload_start
    return Origin(lambda start, stop: source.piece(base + start, base + stop), stays=False)


def decode_payload(
    header: Header,
    metadata: Metadata | None,
    payload: Bytes,
    *,
    struct: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
    checks: Checks = STANDARD,
    origin: Origin | None = None,
    record_only: bool = False,
) -> Payload:
    """The model in the unpacked payload of a v1 file, in either form; `struct` is stronger than what the file says.

    origin: trees are decoded again from there when they are walked, and are not kept before.
    """
    hint = metadata.custom.get(HINT_KEY) if metadata is not None else None
    name = struct if struct is not None else (hint if isinstance(hint, str) else None)
    if header.native:
        found = _kept_record(header, payload, name, limits, checks) if record_only else None
        return found or _decode_native(header, payload, name, limits, checks)
    decoded = decode_model(
        header.model_type, payload, name=name, limits=limits, canonical=checks.strict, origin=origin
    )  # fmt: skip
    return Payload(decoded.model, decoded.candidates, lambda: payload)


def _kept_record(header: Header, payload: Bytes, name: str | None, limits: Limits, checks: Checks) -> Payload | None:
    names, record = read_record(payload, limits)
    if record is None:
        return None
    decoded = decode_model(
        header.model_type, record, name=name or names.struct, limits=limits, canonical=checks.strict
    )  # fmt: skip
    return Payload(decoded.model, decoded.candidates, lambda: record)


def _decode_native(header: Header, payload: Bytes, name: str | None, limits: Limits, checks: Checks) -> Payload:
    """A record and a computation must say the same, or one of the two would be a model that nobody looked at."""
    native = read_native(payload, limits)
    if native.record is None:
        if checks.strict and write_native(native.program, native.names) != payload:
            raise _not_strict("the native payload is not spelled as aprgen spells it")
        return Payload(Programmed(native.program, native.names), (native.names.struct,), None, native.findings)
    record = native.record
    decoded = decode_model(
        header.model_type, record, name=name or native.names.struct, limits=limits, canonical=checks.strict
    )  # fmt: skip
    decoded.model.check()
    if checks.agreement and write_native(decoded.model.lower(), native.names) != write_native(
        native.program, native.names
    ):
        raise PayloadError(
            "native.program",
            f"the computation is not that of the {decoded.model.family} which the file keeps as its record",
            where="the steps of the native payload",
            hint="the file was edited, or another version of aprgen made it: convert it back (--payload bincode), "
            "look at the model, and convert it again",
        )
    return Payload(decoded.model, decoded.candidates, lambda: record, native.findings)


def check_model(model: Model) -> None:
    """Raise PayloadError or UnsupportedError unless code can be made for the model."""
    model.check()
    if model.n_features > MAX_FEATURES:
        raise UnsupportedError(
            "model.features",
            f"the model takes {model.n_features} features, aprgen at most {MAX_FEATURES}",
            where=model.struct,
            hint="select the features that matter before training",
        )


def require_plain(payload: Payload) -> None:
    """Refuse what a careful reader would report about a payload."""
    if payload.notes:
        raise _not_strict(payload.notes[0])
    if len(payload.candidates) > 1:
        raise _not_strict(f"the bytes fit {' and '.join(payload.candidates)} alike")


def _not_strict(finding: str) -> PayloadError:
    return PayloadError(
        "payload.strict", f"verification level paranoid refuses: {finding}", where="the payload",
        hint="export the model again, name its struct with --as, or take a lower level",
    )  # fmt: skip


def require_sound(model: Model) -> None:
    """Two ways to compute the model, the original library's and the Program's, must agree on rows that it knows."""
    check_model(model)
    program = model.lower()
    rows = _test_rows(program)
    scores = model.predict(rows)
    with np.errstate(all="ignore"):
        apart = np.abs(program.run(rows).astype(np.float64) - scores) > model.tolerance(rows, scores)
    if bool(np.any(apart)):
        raise PayloadError(
            "payload.unsound",
            f"on {np.count_nonzero(apart.any(axis=-1))} of {len(rows)} test rows the two ways to compute it differ",
            where="the model", hint="do not use it; please report this file",
        )  # fmt: skip


def _test_rows(program: Program) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    if program.source.element == "f32":
        return random_rows(program, TEST_ROWS).values
    return text_array(list(program.steps[0].op.samples(TEST_ROWS)))  # type: ignore[attr-defined]
