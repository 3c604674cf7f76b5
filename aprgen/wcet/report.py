"""The timing report as values: what was bounded, under which assumptions, what was observed, what was refused.

Its field names are the keys of the JSON document, whose schema is templates/report/wcet.schema.json. Knows how a
verdict is reached; analyses and prints nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from aprgen.wcet.load import LoadTime
from aprgen.wcet.taskset import Schedule

FORMAT = "aprgen-wcet/1"

Status = Literal["bound", "bound-measured-table", "instruction-count", "refused"]
State = Literal["proved", "configured", "assumed"]

INSTRUCTIONS, ACCESSES = "instructions", "memory accesses"  # measures of a Count

EXCLUDED = "Interrupts, preemption, contention for memory and debug halts are not part of these cycles."
NO_TIME = (
    "Counts are no time: what an instruction takes here depends on caches, parallel issue and speculation, which no "
    "table states. Interrupts are not counted."
)


@dataclass(frozen=True)
class Assumption:
    """state: proved on this image, configured by the user, or assumed and left to the integrator."""

    text: str
    state: State
    because: str


@dataclass(frozen=True)
class Refusal:
    """Why there is no number, and what would give one."""

    function: str
    code: str
    what: str
    where: str
    hint: str


@dataclass(frozen=True)
class FunctionRow:
    """own: spent in its own instructions on the worst path; total: with callees, for one call. Like all that entries
    say of cost, in the report's unit."""

    name: str
    own: int
    total: int
    share: float  # of the entry's bound that `own` is
    calls: int  # on the worst path
    blocks: int
    loops: int
    code_bytes: int


@dataclass(frozen=True)
class LoopRow:
    """bound: repetitions of the body each time the loop is reached. count: on the worst path, all times together.

    cost None: the compiler has unrolled the loop.
    """

    id: str
    function: str
    address: int
    bound: int
    origin: str
    cross_check: str
    count: int
    cost: int | None


@dataclass(frozen=True)
class PathBlock:
    """A block of the worst path: how often it is executed, and what that costs together."""

    function: str
    address: int
    count: int
    cost: int
    share: float
    instructions: tuple[str, ...]


@dataclass(frozen=True)
class ListedInstruction:
    """count and cost: on the worst path, all executions together; 0 for what it leaves out."""

    address: int
    text: str
    count: int
    cost: int


@dataclass(frozen=True)
class ListedLine:
    """A line of the C and the instructions that were made of it, in order of addresses; none for a line between.

    number: 0, with an empty text, for instructions of which no line is known. count: of the one executed most often.
    """

    number: int
    text: str
    count: int
    cost: int
    share: float
    instructions: tuple[ListedInstruction, ...]


@dataclass(frozen=True)
class Listing:
    """One function of the linked image, with the lines of one file that its code comes from. file: empty where no
    source is known, as in the compiler's library."""

    function: str
    file: str
    cost: int
    share: float
    lines: tuple[ListedLine, ...]


@dataclass(frozen=True)
class Bar:
    """Of the distribution: runs that took from `low` to `high` cycles, both included."""

    low: int
    high: int
    runs: int


@dataclass(frozen=True)
class Observed:
    """Traced runs, costed with the worst-case table (high) and with the best-case table (low)."""

    runs: int
    rows: str  # how they were chosen
    high_maximum: int
    high_minimum: int
    low_maximum: int  # of the run that costs most
    low_minimum: int
    median: int  # of `high`
    ratio: float  # bound / high_maximum
    distribution: tuple[Bar, ...]
    edges_run: int
    edges: int
    facts_checked: int
    violations: tuple[str, ...]
    worst_row: tuple[str, ...]  # float32 in decimal


@dataclass(frozen=True)
class Witness:
    """An input that reaches the model's worst path, and what its traced run costs."""

    inputs: tuple[str, ...]  # float32 in decimal
    exact: bool  # no input takes more repetitions of the walk
    upper: int
    lower: int
    unit: str
    cost: int | None
    command: str


@dataclass(frozen=True)
class Uncertainty:
    """Where the distance between the bound and the cheapest possible reading of the worst run comes from, in cycles."""

    path: int  # bound - worst traced run with the worst-case table
    table: int  # the same run with the worst-case table - with the best-case table
    memory: int  # of the bound, what wait states add


Agreement = Literal["agrees", "larger", "none stated"]


@dataclass(frozen=True)
class Frame:
    """bytes: by its instructions, with those of functions that it jumps into for good. compiler: what the compiler
    states for the function alone; None for library code. A smaller figure than the compiler's is refused."""

    function: str
    bytes: int
    compiler: int | None
    agreement: Agreement


@dataclass(frozen=True)
class StackUse:
    """bytes: below the caller's stack pointer. painted: what a run on the target wrote. exception_bytes: comes on top
    when an interrupt is taken, once per nesting level, and is not part of `bytes`; None where the system decides.
    Of it, alignment_bytes are there only when the stack pointer is no multiple of eight."""

    bytes: int
    chain: tuple[str, ...]
    frames: tuple[Frame, ...]
    painted: int | None
    exception_bytes: int | None
    alignment_bytes: int | None


@dataclass(frozen=True)
class Count:
    """One measure of one call, such as loads; each is bounded over all paths on its own. observed: the highest."""

    measure: str
    at_most: int
    at_least: int
    observed: int | None


@dataclass(frozen=True)
class Timed:
    """Time of one row on the machine that made the report, measured: no bound, and another one each time.

    median_ns, quartiles_ns: of `repeats` passes over all rows in turn. highest_row_ns: of the row that takes longest
    when it is repeated alone.
    """

    function: str
    rows: int
    repeats: int
    median_ns: float
    quartiles_ns: tuple[float, float]
    highest_row_ns: float
    machine: str


@dataclass(frozen=True)
class Entry:
    """One public function. cycles is None exactly when the status is refused or instruction-count.

    counts: for an instruction count, instructions first; empty for others.
    """

    function: str
    status: Status
    cycles: int | None
    best_cycles: int | None
    time_us: float | None
    certificate: str
    refusal: Refusal | None = None
    functions: tuple[FunctionRow, ...] = ()
    loops: tuple[LoopRow, ...] = ()
    path: tuple[PathBlock, ...] = ()
    listings: tuple[Listing, ...] = ()
    observed: Observed | None = None
    witness: Witness | None = None
    uncertainty: Uncertainty | None = None
    stack: StackUse | None = None
    counts: tuple[Count, ...] = ()

    @property
    def most(self) -> int | None:
        """The bound in the report's unit: cycles, or instructions."""
        return self.counts[0].at_most if self.counts else self.cycles

    @property
    def least(self) -> int | None:
        """What every call takes, in the report's unit."""
        return self.counts[0].at_least if self.counts else self.best_cycles


@dataclass(frozen=True)
class Identity:
    tool_version: str
    model: str
    model_sha256: str
    family: str
    struct: str
    name: str
    image_sha256: str
    object_sha256: str  # of the model's object file that the image links
    target: str
    target_sha256: str
    core: str
    compiler: str
    flags: tuple[str, ...]
    timing_sha256: str
    analyser_sha256: str
    command: str


@dataclass(frozen=True)
class Configuration:
    """options: of the core, such as its multiplier; deadline_us None: none was given.

    wait_states_given: the user stated them; otherwise there are taken to be none, which the verdict says.
    """

    clock_mhz: float | None
    wait_states: int
    deadline_us: float | None
    options: Mapping[str, str]
    wait_states_given: bool = True


@dataclass(frozen=True)
class Check:
    """One thing that was looked at on the built files, and what was found."""

    check: str
    found: str
    holds: bool


@dataclass(frozen=True)
class Memory:
    """Bytes that the linked model takes. weights_bytes: of the constants, what the model's tables take. arena_bytes:
    what the caller lends. heap: what shows that no memory comes from one."""

    flash_bytes: int
    ram_bytes: int
    text_bytes: int
    rodata_bytes: int
    data_bytes: int
    bss_bytes: int
    library_bytes: int
    weights_bytes: int
    arena_bytes: int
    heap: tuple[Check, ...]


@dataclass(frozen=True)
class Verdict:
    """counts: of the function that executes most instructions, where time is not bounded."""

    status: Status
    entry: str  # the function that takes longest
    cycles: int | None
    time_us: float | None
    deadline_us: float | None
    margin_us: float | None
    utilisation: float | None
    stack_bytes: int | None
    sentence: str
    excludes: str
    counts: tuple[Count, ...] = ()


@dataclass(frozen=True)
class Change:
    """The bound of one function in the former report and in this one; percent is of the former."""

    function: str
    before: int
    after: int
    percent: float


@dataclass(frozen=True)
class Difference:
    """gate_percent None: nothing fails. notes: what else is different, such as the core or the model."""

    former_image_sha256: str
    changes: tuple[Change, ...]
    notes: tuple[str, ...]
    gate_percent: float | None
    passed: bool


@dataclass(frozen=True)
class Report:
    verdict: Verdict
    identity: Identity
    configuration: Configuration
    assumptions: tuple[Assumption, ...]
    entries: tuple[Entry, ...]
    memory: Memory
    source_note: str = ""  # why listings name no lines of the C
    load: LoadTime | None = None
    schedule: Schedule | None = None
    difference: Difference | None = None
    times: tuple[Timed, ...] = ()  # only when asked for, as they differ from report to report

    @property
    def violations(self) -> tuple[str, ...]:
        """Observations that contradict the analysis; any at all makes the report void."""
        return tuple(one for e in self.entries if e.observed is not None for one in e.observed.violations)


def unit_of(statuses: Iterable[str]) -> str | None:
    """What a report's numbers are: cycles or instructions; None when all is refused."""
    found = {one for one in statuses if one != "refused"}
    if not found:
        return None
    return "instructions" if found == {"instruction-count"} else "cycles"


def time_us(cycles: int, clock_mhz: float | None) -> float | None:
    return None if clock_mhz is None else cycles / clock_mhz


def verdict_of(entries: tuple[Entry, ...], core: str, configuration: Configuration) -> Verdict:
    """Of the function that takes longest. One refused function refuses the whole, as the others do not stand for it,
    and so does one run that contradicts the analysis."""
    for entry in entries:
        if entry.observed is not None and entry.observed.violations:
            sentence = f"No bound: an observation contradicts the analysis: {entry.observed.violations[0]}."
            return Verdict(
                "refused", entry.function, None, None, configuration.deadline_us, None, None, None, sentence, EXCLUDED
            )  # fmt: skip
    refused = [entry for entry in entries if entry.status == "refused"]
    bounded = [entry for entry in entries if entry.most is not None]
    stacks = [entry.stack.bytes for entry in entries if entry.stack is not None]
    stack = max(stacks) if len(stacks) == len(entries) else None
    deadline = configuration.deadline_us
    if refused:
        others = f"; {_names(bounded)} bounded, see below" if bounded else ""
        sentence = f"No bound for {_names(refused)}: {refused[0].refusal.what if refused[0].refusal else ''}{others}."
        return Verdict(
            "refused", refused[0].function, None, None, deadline, None, None, stack, sentence, EXCLUDED
        )  # fmt: skip
    worst = max(bounded, key=lambda entry: entry.most or 0)
    if worst.status == "instruction-count":
        return Verdict(
            worst.status, worst.function, None, None, deadline, None, None, stack,
            _counting_sentence(worst, core), NO_TIME, worst.counts,
        )  # fmt: skip
    cycles = worst.cycles
    assert cycles is not None
    time = time_us(cycles, configuration.clock_mhz)
    margin = None if time is None or deadline is None else deadline - time
    used = None if time is None or deadline is None else time / deadline
    return Verdict(
        worst.status, worst.function, cycles, time, deadline, margin, used, stack,
        _sentence(worst, cycles, time, core, configuration, margin), EXCLUDED,
    )  # fmt: skip


_KIND: Mapping[str, str] = {
    "bound": "cycles",
    "bound-measured-table": "cycles by a measured table that the vendor has not confirmed",
}


def _counting_sentence(worst: Entry, core: str) -> str:
    made = {count.measure: count.at_most for count in worst.counts}
    return (
        f"{worst.function} executes at most {made[INSTRUCTIONS]:,} instructions and makes at most "
        f"{made[ACCESSES]:,} memory accesses on {core}; its time is not bounded."
    )


def _sentence(
    worst: Entry, cycles: int, time: float | None, core: str, configuration: Configuration, margin: float | None
) -> str:
    states = configuration.wait_states
    at = f"{core} with {states} wait state{'' if states == 1 else 's'}"
    at += "" if configuration.wait_states_given else " assumed"
    parts = [f"{worst.function} takes at most {cycles:,} {_KIND[worst.status]} on {at}"]
    if time is not None:
        parts.append(f"{time:,.2f} us at {configuration.clock_mhz:g} MHz")
    if margin is not None:
        kept = f"{margin:,.2f} us before" if margin >= 0 else f"{-margin:,.2f} us after"
        parts.append(f"{kept} the deadline of {configuration.deadline_us:g} us")
    return f"{', '.join(parts)}."


def _names(entries: list[Entry]) -> str:
    return ", ".join(entry.function for entry in entries)


def meets_deadline(verdict: Verdict) -> bool:
    return verdict.margin_us is None or verdict.margin_us >= 0


def difference_to(entries: tuple[Entry, ...], identity: Identity, former: Former, gate: float | None) -> Difference:
    """What became of a former report's bounds. A gate fails on more growth, and on a bound that is no longer there."""
    changes: list[Change] = []
    notes: list[str] = []
    passed = True
    now = {entry.function: entry.most for entry in entries}
    unit = unit_of(entry.status for entry in entries)
    if unit not in (None, former.unit) and former.unit is not None:
        note = f"the former report counts {former.unit} and this one {unit}, so nothing can be compared"
        return Difference(former.image_sha256, (), (note,), gate, gate is None)
    for function, before in former.most.items():
        after = now.get(function)
        if after is None:
            notes.append(f"{function} had a bound of {before:,} and has none now")
            passed = passed and gate is None
            continue
        percent = 100.0 * (after - before) / before if before else 0.0
        changes.append(Change(function, before, after, percent))
        passed = passed and (gate is None or percent <= gate)
    for name, was, became in (
        ("core", former.core, identity.core),
        ("model", former.model_sha256, identity.model_sha256),
        ("timing table", former.timing_sha256, identity.timing_sha256),
        ("compiler", former.compiler, identity.compiler),
    ):
        if was != became:
            notes.append(f"the {name} is another: {_short(was)}, now {_short(became)}")
    return Difference(former.image_sha256, tuple(changes), tuple(notes), gate, passed)


def _short(text: str) -> str:
    return text[:12] if len(text) == 64 else text


@dataclass(frozen=True)
class Former:
    """What is compared of a former report."""

    image_sha256: str
    core: str
    model_sha256: str
    timing_sha256: str
    compiler: str
    most: Mapping[str, int]  # per function, in `unit`
    unit: str | None  # None: everything was refused


def document(report: Report) -> dict[str, object]:
    """The JSON document; parts without data are null."""
    return {"format": FORMAT, **asdict(report)}
