"""Records of measured strategies: one file of JSON, a record a line, which can be merged with others'.

Knows the form of the file and refuses what it does not know. A record names no host, no user and no path. Measures
nothing and chooses nothing.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from aprgen.errors import UsageError
from aprgen.output_folder import write_file
from aprgen.passes.choices import SUM_FORMS, TREE_FORMS, Choices

SCHEMA = "aprgen.tune"
VERSION = 1
Unit = Literal["ns"]
Kind = Literal["trees", "sums"]  # which pass has the choice
MOST_BYTES = 1 << 28
MOST_COUNT = 1 << 24

_KEYS = (
    "model", "facts", "numeric", "target", "machine", "compiler", "version", "rows", "choices", "work", "unit", "ghz",
    "least", "median", "repeats",
)  # fmt: skip
_Made = TypeVar("_Made")


@dataclass(frozen=True)
class Machine:
    """A kind of processor. features: of its vectors, as the system names them, sorted."""

    cpu: str
    features: tuple[str, ...]


@dataclass(frozen=True)
class Record:
    """One strategy of one model, measured on one machine.

    model: sha256 of its file. facts: what it looks like, for people. version: of aprgen. rows: of a call. choices:
    every one that its kind has. work: how often each cost is paid for 1,000 rows. ghz: cycles of a ns while it was
    measured. least, median: of a row, in units. repeats: calls that were timed.
    """

    model: str
    facts: Mapping[str, str | int]
    numeric: str
    target: str
    machine: Machine
    compiler: str
    version: str
    rows: int
    choices: Choices
    work: Mapping[str, float]
    unit: Unit
    ghz: float
    least: float
    median: float
    repeats: int

    @property
    def key(self) -> tuple[object, ...]:
        """What was measured. Two records with the same key are measurements of the same."""
        return (
            self.target, self.model, self.numeric, self.machine.cpu, self.machine.features, self.compiler, self.version,
            self.rows, _spelled(self.choices),
        )  # fmt: skip

    @property
    def kind(self) -> Kind:
        return "sums" if self.choices.trees is None else "trees"

    @property
    def cycles(self) -> float:
        """The least, for 1,000 rows."""
        return 1000 * self.least * self.ghz


@dataclass(frozen=True)
class Merged:
    """replaced: how many measurements gave way to fuller ones of the same; same: how many stood there twice."""

    records: tuple[Record, ...]
    replaced: int
    same: int


def merged(records: Iterable[Record]) -> Merged:
    """One record for each that was measured: of two, that of more repeats, then the quicker one; in a fixed order."""
    best: dict[tuple[object, ...], Record] = {}
    replaced = same = 0
    for record in records:
        before = best.get(record.key)
        if before is None:
            best[record.key] = record
            continue
        if _line(before) == _line(record):
            same += 1
            continue
        replaced += 1
        best[record.key] = min(before, record, key=lambda one: (-one.repeats, one.least, _line(one)))
    return Merged(tuple(sorted(best.values(), key=lambda one: (repr(one.key), _line(one)))), replaced, same)


def text_of(records: Sequence[Record]) -> str:
    """The file: the same records give the same bytes."""
    lines = ",\n".join(_line(record) for record in merged(records).records)
    return f'{{"schema": "{SCHEMA}", "version": {VERSION}, "records": [\n{lines}\n]}}\n'


def write_records(path: Path, records: Sequence[Record]) -> None:
    """Written beside its place, then renamed."""
    write_file(path, text_of(records).encode())


def add_records(path: Path, records: Sequence[Record]) -> Merged:
    """Merge them into the file, which is made if need be."""
    joined = merged([*(read_records(path)[0] if path.exists() else ()), *records])
    write_records(path, joined.records)
    return joined


def read_records(path: Path) -> tuple[tuple[Record, ...], str]:
    """The records of a file and its sha256. UsageError says what is wrong with it, and where."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise _wrong(path, f"the file has more than {MOST_BYTES} bytes", "keep the records that you need")
        data = path.read_bytes()
    except OSError as error:
        raise _wrong(path, f"cannot read the records: {error.strerror}", "check the path") from error
    return records_of(data, path), hashlib.sha256(data).hexdigest()


def records_of(data: bytes, path: Path) -> tuple[Record, ...]:
    """The records in the bytes of a file; path: for errors."""
    try:
        document = json.loads(data.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise _wrong(path, f"no valid JSON: {error}", "measure again with `aprgen tune`") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise _wrong(path, f"its schema is not {SCHEMA!r}", "give a file that `aprgen tune` wrote")
    if document.get("version") != VERSION:
        hint = f"this aprgen reads version {VERSION}: use the aprgen that wrote it, or measure again"
        raise _wrong(path, f"its version is {document.get('version')!r}", hint)
    listed = document.get("records")
    if not isinstance(listed, list) or set(document) != {"schema", "version", "records"}:
        raise _wrong(path, "it has no list of records, or more beside it", "give a file that `aprgen tune` wrote")
    found = []
    for number, fields in enumerate(listed):
        try:
            found.append(_record(fields))
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            hint = "remove that record, or measure again with `aprgen tune`"
            raise _wrong(path, f"record {number}: {error}", hint) from error
    return tuple(found)


def _line(record: Record) -> str:
    fields = asdict(record) | {"choices": _spelled_fields(record.choices)}
    fields["work"] = {term: float(count) for term, count in record.work.items()}
    fields |= {name: float(fields[name]) for name in ("ghz", "least", "median")}
    return json.dumps(fields, sort_keys=True, allow_nan=False)


def _spelled_fields(choices: Choices) -> dict[str, object]:
    return {name: value for name, value in asdict(choices).items() if value is not None}


def _spelled(choices: Choices) -> str:
    return json.dumps(_spelled_fields(choices), sort_keys=True)


def _wrong(path: Path, what: str, hint: str) -> UsageError:
    return UsageError("tune.records", what, where=str(path), hint=hint)


def _no_constant(word: str) -> float:
    raise ValueError(f"{word} is no number")


def _record(fields: Any) -> Record:
    _require_keys(fields, _KEYS)
    machine, work, facts = fields["machine"], fields["work"], fields["facts"]
    _require_keys(machine, ("cpu", "features"))
    if not isinstance(work, dict) or not isinstance(facts, dict):
        raise ValueError("work and facts must be tables")
    if fields["unit"] not in get_args(Unit):
        raise ValueError(f"unit is {fields['unit']!r}")
    record = Record(
        model=_text(fields["model"]),
        facts={_text(name): _fact(value) for name, value in facts.items()},
        numeric=_text(fields["numeric"]),
        target=_text(fields["target"]),
        machine=Machine(_text(machine["cpu"]), tuple(sorted(_each(machine["features"], _text)))),
        compiler=_text(fields["compiler"]),
        version=_text(fields["version"]),
        rows=_count(fields["rows"]),
        choices=_choices(fields["choices"]),
        work={_text(name): _number(value, least=0) for name, value in work.items()},
        unit=fields["unit"],
        ghz=_number(fields["ghz"]),
        least=_number(fields["least"]),
        median=_number(fields["median"]),
        repeats=_count(fields["repeats"]),
    )
    if record.median < record.least:
        raise ValueError("the median is below the least")
    return record


def _choices(fields: Any) -> Choices:
    if not isinstance(fields, dict):
        raise ValueError("choices must be a table")
    left = dict(fields)
    trees, sums = left.pop("trees", None), left.pop("sums", None)
    if (trees is None) == (sums is None):
        raise ValueError("choices must have either trees or sums")
    if trees is not None and trees not in TREE_FORMS:
        raise ValueError(f"trees is {trees!r}")
    forms = None if sums is None else _each(sums, _text)
    if forms is not None and any(form not in SUM_FORMS for form in forms):
        raise ValueError(f"sums is {sums!r}")
    counts = {name: _count(left.pop(name)) for name in ("rows", "few_rows", "tile_rows", "tile_panels") if name in left}
    if left:
        raise ValueError(f"choices have no {next(iter(left))!r}")
    made = Choices(trees, None, **counts)
    return made if forms is None else Choices(None, tuple(_sum_form(form) for form in forms), **counts)


def _sum_form(text: str) -> Literal["panels", "lanes"]:
    return "lanes" if text == "lanes" else "panels"


def _require_keys(fields: Any, keys: Sequence[str]) -> None:
    if not isinstance(fields, dict):
        raise ValueError("a table is expected")
    for key in keys:
        if key not in fields:
            raise ValueError(f"{key} is missing")
    for key in fields:
        if key not in keys:
            raise ValueError(f"{key!r} is unknown")


def _each(values: Any, one: Callable[[Any], _Made]) -> tuple[_Made, ...]:
    if not isinstance(values, list):
        raise ValueError(f"a list is expected, not {values!r}")
    return tuple(one(value) for value in values)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value or len(value) > 500 or not value.isprintable():
        raise ValueError(f"text is expected, not {str(value)[:40]!r}")
    return value


def _fact(value: Any) -> str | int:
    return value if isinstance(value, int) and not isinstance(value, bool) else _text(value)


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= MOST_COUNT:
        raise ValueError(f"a whole number from 1 to {MOST_COUNT} is expected, not {str(value)[:40]!r}")
    return value


def _number(value: Any, *, least: float | None = None) -> float:
    """A finite number; more than 0 where no least one is given."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ValueError(f"a number is expected, not {str(value)[:40]!r}")
    if value > 1e15 or (value <= 0 if least is None else value < least):
        raise ValueError(f"{value} is out of range")
    return float(value)
