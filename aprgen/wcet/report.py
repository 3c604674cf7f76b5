"""The timing report as values: what was bounded, under which assumptions, what was observed, what was refused.

Its field names are the keys of the JSON document, whose schema is templates/report/wcet.schema.json. Knows no more
than that: how a verdict is reached is known in `verdict`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from aprgen.wcet.load import LoadTime
from aprgen.wcet.taskset import Schedule

FORMAT = "aprgen-wcet/1"

Status = Literal["bound", "bound-measured-table", "instruction-count", "refused"]
State = Literal["proved", "configured", "assumed"]

INSTRUCTIONS, ACCESSES = "instructions", "memory accesses"  # measures of a Count


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
    worst_row: tuple[str, ...]  # float32 in decimal; of a text, its bytes as Python spells them


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
class TextBound:
    """A text of n bytes takes at most fixed + per_byte * n, in the report's unit, if n is no more than stated."""

    fixed: int
    per_byte: int


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
    by_length: TextBound | None = None

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
    text_bytes: of the longest text; None for models that take none.
    """

    clock_mhz: float | None
    wait_states: int
    deadline_us: float | None
    options: Mapping[str, str]
    wait_states_given: bool = True
    text_bytes: int | None = None


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
