"""The models of a bundle: what the user wishes of each, and what is made of the wish.

Knows which wishes make no sense together; writes no C.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from aprgen import spell
from aprgen.accuracy import Calibration
from aprgen.bundle.storage import Compression, Stored, alignment_of, store
from aprgen.container import NO_ACCESS, Access, Inspection, V2Inspection, inspect_container
from aprgen.core import Options, Plan, plan_model
from aprgen.errors import AprgenError, PayloadError, UnsupportedError, UsageError
from aprgen.loaded import Loaded, check_model, load_model
from aprgen.program import Array, Program
from aprgen.rows import SEED
from aprgen.selftest_rows import SELFTEST_ROWS, Trial, row_trial, text_trial
from aprgen.target import Target

Embed = Literal["code", "bytes", "both"]
EMBEDS: tuple[Embed, ...] = ("code", "bytes", "both")

NAME_FORM = re.compile(r"[A-Za-z0-9_.+/:@-]+(?: [A-Za-z0-9_.+/:@-]+)*")
MAX_NAME_BYTES = 63
MAX_MODELS = 1_000
MAX_SELFTEST_ROWS = 1_000
ENCRYPTED = "security.encrypted"


@dataclass(frozen=True, eq=False)
class GivenRows:
    """Rows for a self-test: float32 [rows, features], or texts [rows]. origin: the file's name; sha256: of the file.

    notes: what was changed on the way here.
    """

    values: Array
    origin: str
    sha256: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Wish:
    """What the user asks of one model. name: by which firmware finds it; origin: the file's name, without a path.

    access: whom to trust, and what opens it when it is encrypted; embedded bytes stay encrypted.
    """

    name: str
    data: bytes
    origin: str
    embed: Embed = "code"
    numeric: str = "f32"
    calibration: Calibration | None = None
    optimise: str | None = None
    struct: str | None = None
    compression: Compression = "auto"
    rows: GivenRows | None = None
    n_rows: int = SELFTEST_ROWS
    access: Access = NO_ACCESS


@dataclass(frozen=True, eq=False)
class Member:
    """A model of a bundle. Without a plan there is no code; loaded is None where `closed` says why.

    known: what its code computes, or would; None where nobody can say. trial: rows with the answers of that.
    """

    wish: Wish
    c_name: str  # of its functions: BUNDLE_NAME
    found: Inspection | V2Inspection
    loaded: Loaded | None
    closed: str  # why nobody can look into the payload here
    plan: Plan | None
    known: Program | None
    trial: Trial | None
    provenance: str
    stored: Stored | None

    @property
    def name(self) -> str:
        return self.wish.name

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.wish.data).hexdigest()

    @property
    def findings(self) -> tuple[str, ...]:
        """What is said of the file, and what was changed in the rows that were given for it."""
        file = self.found.findings if self.loaded is None else self.loaded.findings
        given = [*(() if self.wish.calibration is None else self.wish.calibration.notes)]
        given += () if self.wish.rows is None else self.wish.rows.notes
        return (*file, *dict.fromkeys(given))

    @property
    def model_type(self) -> int:
        """As in the header of a v1 file; 0 of the others."""
        header = self.found.header
        return header.model_type if isinstance(self.found, Inspection) and header is not None else 0  # type: ignore[union-attr]

    @property
    def unpacked_bytes(self) -> int:
        """Of the payload; of the whole file where no header says it."""
        if isinstance(self.found, Inspection) and self.found.header is not None:
            return self.found.header.uncompressed_size
        return len(self.wish.data)

    @property
    def crc32(self) -> int:
        """Of the embedded file, or of the file that the code was made from."""
        return int.from_bytes(self.wish.data[-4:], "little") if self.stored is None else self.stored.crc32

    @property
    def alignment(self) -> int:
        return alignment_of(self.found)


def make_member(wish: Wish, bundle: str, target: Target) -> Member:
    """Read, plan and store one model. Raises what its file, its options or its wish deserve."""
    _check(wish)
    found = inspect_container(wish.data, access=wish.access)
    problems = [problem for problem in found.problems if wish.embed != "bytes" or problem.code != ENCRYPTED]
    if problems:
        raise problems[0]
    loaded, closed = _opened(wish, encrypted=bool(found.problems))
    c_name = f"{bundle}_{spell.identifier(wish.name)}"
    plan: Plan | None = None
    if wish.embed != "bytes":
        assert loaded is not None
        plan = plan_model(loaded, target, Options(c_name, wish.numeric, wish.calibration, "", wish.optimise))
    known = _known(loaded, plan)
    trial, provenance = _trial(wish, known, coded=plan is not None)
    stored = None if wish.embed == "code" else store(wish.data, found, wish.compression, wish.name)
    return Member(wish, c_name, found, loaded, closed, plan, known, trial, provenance, stored)


def check_names(wishes: Sequence[Wish], bundle: str) -> None:
    """Every name must be spelled so that C and firmware can use it, and differ from the others'."""
    if not spell.is_identifier(bundle) or bundle.lower() == "apr":  # the runtime's own prefix
        better = spell.identifier(bundle if bundle.lower() != "apr" else "models")
        raise UsageError(
            "bundle.name", f"{bundle!r} is no name for C functions", where="--name",
            hint=f"letters, digits and underscores; {better!r} would do",
        )  # fmt: skip
    if not 1 <= len(wishes) <= MAX_MODELS:
        raise UsageError(
            "bundle.models", f"{len(wishes)} models", where="the bundle", hint=f"give 1 to {MAX_MODELS} models"
        )
    seen: dict[str, str] = {}
    for wish in wishes:
        if len(wish.name) > MAX_NAME_BYTES or not NAME_FORM.fullmatch(wish.name):
            raise UsageError(
                "bundle.name", f"{wish.name!r} is no name for a model", where=f"the model from {wish.origin}",
                hint=f"up to {MAX_NAME_BYTES} letters, digits and _.+/:@- with single spaces, as in NAME=FILE",
            )  # fmt: skip
        # Macros are in capitals, so names must differ in more than their case.
        key = spell.identifier(wish.name).upper()
        if key in seen:
            raise UsageError(
                "bundle.name", f"{wish.name!r} and {seen[key]!r} have one name in C, {key}",
                where=f"the model from {wish.origin}", hint="name one of them otherwise: NAME=FILE",
            )  # fmt: skip
        seen[key] = wish.name


def _check(wish: Wish) -> None:
    where = f"model {wish.name}"
    if wish.embed == "bytes" and (wish.numeric != "f32" or wish.calibration is not None or wish.optimise is not None):
        raise UsageError(
            "bundle.options", "numeric mode, calibration and shape are of code, and none is made", where=where,
            hint='write embed = "both", or leave the options out',
        )  # fmt: skip
    if wish.embed == "code" and wish.compression != "auto":
        raise UsageError(
            "bundle.options", "compression is of embedded bytes, and none are embedded", where=where,
            hint='write embed = "both", or leave the option out',
        )  # fmt: skip
    if not 1 <= wish.n_rows <= MAX_SELFTEST_ROWS:
        raise UsageError(
            "bundle.rows", f"{wish.n_rows} rows for the self-test", where=where,
            hint=f"give 1 to {MAX_SELFTEST_ROWS}",
        )  # fmt: skip


def _opened(wish: Wish, *, encrypted: bool) -> tuple[Loaded | None, str]:
    """The model, or why there is none: bytes can be embedded of sound files that only others understand."""
    if encrypted:
        return None, "encrypted"
    try:
        return load_model(wish.data, struct=wish.struct, access=wish.access), ""
    except (PayloadError, UnsupportedError) as error:
        if wish.embed != "bytes":
            raise
        return None, f"not decoded ({error.code})"


def _known(loaded: Loaded | None, plan: Plan | None) -> Program | None:
    if plan is not None:
        return plan.lowered
    if loaded is None:
        return None
    try:
        check_model(loaded.model)
    except AprgenError:  # nothing that predicts: its bytes can be embedded all the same
        return None
    return loaded.model.lower()


def _trial(wish: Wish, program: Program | None, *, coded: bool) -> tuple[Trial | None, str]:
    """Rows with answers, and where they come from; none for what nobody can compute here."""
    if program is None:
        return None, "no rows: what the file computes is not known here"
    texts = program.source.element in ("text", "prefix")
    if texts and not coded:
        return None, "no rows: texts are tried by code only"
    values: Array | None = None
    about = "samples of what the model knows"
    if wish.rows is not None:
        values = wish.rows.values[: wish.n_rows]
        about = f"the first {len(values)} rows of {wish.rows.origin}, sha256 {wish.rows.sha256}"
    about = about if texts or values is not None else f"zeros, then random rows from seed {SEED}"
    if texts:
        return text_trial(program, None if values is None else tuple(map(str, values)), wish.n_rows), about
    trial = row_trial(program, values, wish.n_rows)
    wanted = ("x", "out", "label") if coded else ("x", "out")  # not those of codes: the registry has floats only
    arrays = {part: array for part, array in trial.arrays.items() if part in wanted}
    return replace(trial, arrays=arrays), about
