"""Other runtimes beside aprgen on x86 and in node: the same models, the same rows, one core, one run.

lleaves, OpenVINO, XNNPACK, ONNX Runtime, onnxruntime-web, faiss and numpy.

    python benchmarks/wide_runtimes.py [--work NAME ...] [--peer NAME ...] [--compiler gcc|clang ...] [--rounds N]
                                       [--folder DIR] [--no-install] [--json FILE]

    pip install "aprgen[benchmarks]"     # the libraries that train

Each runtime is installed from PyPI, or by npm, into an environment of its own in --folder (~/.cache/aprgen/runtimes),
in the version of runtime_rooms.py, when it is first asked for: 1.2 GB for all. With --no-install only those that are
there run. Each works in a process of its own, on the same core, and times itself; all take turns with aprgen's C, which
is built with the flags of the target and called as a library. What could not be had is named with the reason.

Work, 1,000 rows each: mlp_a, a network 100-256-256-256-10; lin100 and lin10k, linear models of 100 and 10,000 columns;
km10_label, the nearest of 10 centroids of 100 columns (all four of wide_dense.py); gbt20 and rf20, forests of 100 trees
of depth 6 and 10 (wide.py); knn and knn_iris, the 5 nearest of 1,000 points of 64 columns and of 150 of 4
(wide_points.py); web_NAME, four of these as WebAssembly in node, as it comes and with --no-liftoff.

Rows lie in the input of a runtime before it is timed, and its output is not copied where it can be left. "row" is one
row: by the function for few rows in a loop of C (aprgen, lleaves), else a call from Python or JavaScript for each row,
marked p: of that 0.3 to 3 us are the call's own. "times" is the runtime's time over the least of aprgen's in the same
numbers: f32 for floats, bf16, s8 for int8. "off": labels that are others than those of the library that trained, or the
largest difference from its values in shares of the largest value. More than the numbers explain is said below the
table. aprgen's bits are compared with Program.run(). Status 1 when a bit of aprgen's differs; 7 when aprgen's C cannot
run here.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import runtime_rooms
import runtime_tasks
import wide
import wide_dense
import wide_integers
import wide_points
import wide_wasm
from here import finish, one_core, report_file, toolchains_here, write_report
from numpy.typing import NDArray
from runtime_rooms import ROOMS, AbsentError, Room, Runtime
from runtime_tasks import Task
from wide_dense import ROWS, measured

from aprgen.errors import ToolchainError
from aprgen.float_modes import float_modes_of
from aprgen.process import cache_folder
from aprgen.runners.shared import why_not_here
from aprgen.target import Target, load_target
from aprgen.toolchain import Toolchain, find_toolchain
from aprgen.verify import same_bits

SCHEMA = "aprgen.benchmarks.wide_runtimes"
VERSION = 1
WEB = {"web_mlp_a": "mlp_a", "web_lin100": "lin100", "web_gbt20": "gbt20", "web_rf20": "rf20"}  # in node
PEERS = {  # of a work
    "mlp_a": ("numpy", "xnnpack", "openvino", "onnxruntime"),
    "lin100": ("numpy", "xnnpack", "openvino", "onnxruntime"),
    "lin10k": ("numpy", "xnnpack", "openvino", "onnxruntime"),
    "km10_label": ("numpy", "xnnpack", "openvino", "onnxruntime"),
    "gbt20": ("lleaves", "onnxruntime"),
    "rf20": ("lleaves", "onnxruntime"),
    "knn": ("faiss",),
    "knn_iris": ("faiss",),
    **dict.fromkeys(WEB, ("onnxruntime-web",)),
}
TARGETS = ("x86-avx512-bf16", "x86-avx512-vnni", "x86-avx512", "x86-avx2")  # the first that is this machine
ENGINES = ("node", "node --no-liftoff")
ALIKE = {"f32": "f32", "f64": "f32", "bf16": "bf16", "int8": "s8"}  # a runtime's numbers, and aprgen's
# Of values, in shares of the largest: what the numbers explain. Of labels: as many may differ, by ties and roundings.
EXPLAINED = {"f32": 1e-5, "f32-fast": 1e-5, "f64": 1e-5, "bf16": 0.02, "int8": 0.05, "s8": 0.05}
OTHER_LABELS = 0.005
ROUNDS = 20
ROW_ROUNDS = 5
CALLS = 3  # of a round


@dataclass(frozen=True)
class Figure:
    """Microseconds for all rows and for one. inside: one row is a loop of C. off: from the library that trained."""

    work: str
    tool: str
    where: str  # aprgen's target, or the engine
    numeric: str
    least: float
    median: float
    one_row: float | None
    inside: bool
    off: float
    explained: bool
    exact: bool | None  # of aprgen's

    @property
    def own(self) -> bool:
        return self.exact is not None


@dataclass(frozen=True)
class LeftOut:
    """A runtime that was not compared, and why."""

    work: str
    tool: str
    why: str


@dataclass(frozen=True, eq=False)
class Contender:
    """Takes a number of calls, gives microseconds. answers: of all rows."""

    tool: str
    where: str
    numeric: str
    batch: Callable[[int], list[float]]
    one: Callable[[int], list[float]] | None
    inside: bool
    answers: NDArray[Any]
    exact: bool | None = None


# aprgen's side.


def _timed(call: wide_dense.Call, rows: int = 1) -> Callable[[int], list[float]]:
    """By calls from here, as other benchmarks take them; of one of its rows."""

    def times(_: int) -> list[float]:
        (found,) = measured([call], 1)
        return [one / rows for one in found]

    return times


def mine(task: Task, target: Target, toolchain: Toolchain) -> Iterator[Contender]:
    """In every numeric mode that the work can have on the target."""
    tool, of = f"aprgen {toolchain.rule.name}", target.name

    def made(numeric: str, batch: wide_dense.Call, one: wide_dense.Call, rows: int, exact: bool) -> Contender:
        answers = np.array(batch())
        return Contender(tool, of, numeric, _timed(batch), _timed(one, rows), True, answers, exact)

    if task.kind == "trees":
        trees = wide.made(task.of, task.program, "", target, toolchain)
        batch, one = trees.contender.batch, trees.contender.one
        assert batch is not None
        assert one is not None
        yield made("f32", batch, one, ROWS, bool(trees.figure.exact))
    elif task.kind == "points":
        points = wide_points.mine(task.of, target, toolchain, {})
        yield made("f32", points.call, points.one_by_one, ROWS, points.exact)
    else:
        for numeric in ("f32", *float_modes_of(target)):
            floats = wide_dense.mine(task.of, target, toolchain, numeric, {})
            yield made(numeric, floats.call, floats.row, wide_dense.ROWS_ALONE, floats.exact)
        if not task.labels and target.batch is not None and target.batch.integers is not None:
            codes = wide_integers.native(task.of, "s8", target, toolchain)
            yield made("s8", codes.batch, codes.one, ROWS, codes.exact)


# Other runtimes.


def theirs(runtime: Runtime, where: str = "") -> Iterator[Contender]:
    for number, form in enumerate(runtime.forms):
        answers = np.load(form.answers) if form.answers.suffix == ".npy" else np.fromfile(form.answers, np.float32)
        yield Contender(
            form.tool, where, form.numeric, _asked(runtime, number, "batch"),
            _asked(runtime, number, "one") if form.one else None, form.inside, answers,
        )  # fmt: skip


def _asked(runtime: Runtime, form: int, call: str) -> Callable[[int], list[float]]:
    return lambda n: runtime.times(form, call, n)


class Rooms:
    """What is installed, asked once for each runtime; and what is not, with the reason."""

    def __init__(self, folder: Path, wanted: Sequence[str], *, install: bool) -> None:
        self._folder, self._wanted, self._install = folder, wanted, install
        self._found: dict[str, Path | AbsentError] = {}

    def place(self, room: Room, *, helps: bool = False) -> Path:
        """helps: it makes files for another one, and need not be asked for itself."""
        if room.name not in self._wanted and not helps:
            raise AbsentError("not asked for")
        if room.name not in self._found:
            try:
                self._found[room.name] = runtime_rooms.installed(room, self._folder, install=self._install)
            except AbsentError as error:
                self._found[room.name] = error
        found = self._found[room.name]
        if isinstance(found, AbsentError):
            raise found
        return found


def room_of(name: str) -> Room:
    return next(room for room in ROOMS if room.name == name)


# The run.


def natively(name: str, rooms: Rooms, given: argparse.Namespace) -> tuple[list[Figure], list[LeftOut]]:
    task = runtime_tasks.task_of(name)
    left_out: list[LeftOut] = []
    with contextlib.ExitStack() as open_now, one_core():
        folder = Path(open_now.enter_context(tempfile.TemporaryDirectory()))
        runtime_tasks.write(task, folder)
        contenders = [
            one
            for target, toolchain in toolchains_here([given.target], given.compiler)
            for one in mine(task, target, toolchain)
        ]
        for peer in PEERS[name]:
            room = room_of(peer)
            try:
                command = runtime_rooms.command_of(room, rooms.place(room), folder)
                runtime = open_now.enter_context(runtime_rooms.started(command, folder, room.waits))
                contenders += theirs(runtime)
            except AbsentError as error:
                left_out.append(LeftOut(name, peer, str(error)))
        found = figures(task, contenders, given.rounds, left_out)
    return found, left_out


def in_node(name: str, rooms: Rooms, given: argparse.Namespace) -> tuple[list[Figure], list[LeftOut]]:
    """ONNX Runtime's own process leaves the files that onnxruntime-web reads."""
    task = replace(runtime_tasks.task_of(WEB[name]), name=name)
    left_out: list[LeftOut] = []
    contenders: list[Contender] = []
    with contextlib.ExitStack() as open_now, one_core():
        folder = Path(open_now.enter_context(tempfile.TemporaryDirectory()))
        runtime_tasks.write(task, folder)
        try:
            contenders += _modules(task, folder, open_now)
        except (AbsentError, ToolchainError) as error:
            left_out.append(LeftOut(name, "aprgen", str(error).splitlines()[0]))
        try:
            web, native = room_of("onnxruntime-web"), room_of("onnxruntime")
            place = rooms.place(web)
            files = runtime_rooms.command_of(native, rooms.place(native, helps=True), folder)
            with runtime_rooms.started(files, folder):
                pass  # until it is ready; its files lie in the folder then
            for engine in ENGINES:
                command = runtime_rooms.command_of(web, place, folder, engine.split()[1:])
                contenders += theirs(open_now.enter_context(runtime_rooms.started(command, folder)), engine)
        except AbsentError as error:
            left_out.append(LeftOut(name, "onnxruntime-web", str(error)))
        return figures(task, contenders, given.rounds, left_out), left_out


def _modules(task: Task, folder: Path, open_now: contextlib.ExitStack) -> Iterator[Contender]:
    """aprgen's C in node."""
    if shutil.which("node") is None:
        raise AbsentError("node is not on PATH")
    target = load_target("wasm")
    toolchain = find_toolchain(target)
    for numeric in ("f32", "s8") if task.kind == "layers" else ("f32",):
        if task.kind == "layers":
            planned = wide_integers.in_blocks(task.of, numeric, target)
        else:
            planned = wide_wasm.work_of(task.of.name, target).planned
        wanted = (task.program if numeric == "f32" else planned).run(task.rows)
        inside = folder / numeric
        inside.mkdir()
        work = wide_wasm.Work(task.name, task.program, planned, task.rows, 0)
        module = wide_wasm.module_of(work, target, toolchain, inside)
        for engine in ENGINES:
            program = str(runtime_rooms.PROGRAMS / "module_peer.mjs")
            command = [*engine.split(), program, str(folder), str(module), numeric]
            (one,) = theirs(open_now.enter_context(runtime_rooms.started(command, folder)), engine)
            exact = bool(same_bits(one.answers.reshape(wanted.shape), wanted).all())
            yield replace(one, tool=f"aprgen {toolchain.rule.name}", exact=exact)


def figures(task: Task, contenders: Sequence[Contender], rounds: int, left_out: list[LeftOut]) -> list[Figure]:
    """All take turns; a runtime that stops in between is left out from there on."""
    times: list[tuple[list[float], list[float]]] = [([], []) for _ in contenders]
    gone: set[int] = set()
    for number in range(rounds):
        for place, (contender, (batch, one)) in enumerate(zip(contenders, times, strict=True)):
            if place in gone:
                continue
            try:
                batch += contender.batch(CALLS)
                if contender.one is not None and number < ROW_ROUNDS:
                    one += contender.one(CALLS)
            except AbsentError as error:
                gone.add(place)
                left_out.append(LeftOut(task.name, f"{contender.tool} {contender.numeric}", str(error)))
    found = []
    for place, (contender, (batch, one)) in enumerate(zip(contenders, times, strict=True)):
        if place not in gone:
            away = runtime_tasks.off(task, contender.answers, own=contender.exact is not None)
            explained = away <= (OTHER_LABELS if task.labels else EXPLAINED[contender.numeric])
            found.append(
                Figure(
                    task.name, contender.tool, contender.where, contender.numeric, min(batch),
                    statistics.median(batch), min(one) if one else None, contender.inside, away, explained,
                    contender.exact,
                )
            )  # fmt: skip
    return found


# Printing.


def beside(one: Figure, found: Sequence[Figure]) -> tuple[float | None, float | None]:
    """A runtime's time over aprgen's least in the same numbers, of all rows and of one; in node by the same engine."""
    mine = [
        own for own in found
        if own.own and own.work == one.work and own.numeric == ALIKE.get(one.numeric)
        and (one.work not in WEB or own.where == one.where)
    ]  # fmt: skip
    if one.own or not mine:
        return None, None
    rows = [own.one_row for own in mine if own.one_row is not None]
    least = min(own.least for own in mine)
    return one.least / least, None if one.one_row is None or not rows else one.one_row / min(rows)


def line(one: Figure, found: Sequence[Figure]) -> str:
    ratio, row_ratio = ("" if value is None else f"{value:.2f}x" for value in beside(one, found))
    row = "-" if one.one_row is None else f"{one.one_row:,.3f}"
    state = {True: "exact", False: "DIFFERS", None: ""}[one.exact]
    return (
        f"{one.work:10} {one.tool:24} {one.where:17} {one.numeric:8} {one.least:9,.1f} {one.median:9,.1f} {ratio:>7} "
        f"{row:>8}{' ' if one.inside or one.one_row is None else 'p'} {row_ratio:>7}  {one.off:7.1e} {state}"
    ).rstrip()


HEAD = (
    f"{'work':10} {'tool':24} {'where':17} {'numbers':8} {'least us':>9} {'median':>9} {'times':>7} {'row us':>8}  "
    f"{'times':>7}  {'off':7}"
)


def otherwise(found: Sequence[Figure]) -> list[str]:
    return [
        f"{one.work}: {one.tool} ({one.numeric}) answers otherwise than the library that trained: off by {one.off:.2g}"
        for one in found
        if not one.explained
    ]


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks/wide_runtimes.py", description=(__doc__ or "").split("\n", 1)[0])
    names = [room.name for room in ROOMS]
    here = next((name for name in TARGETS if not why_not_here(load_target(name))), None)
    parser.add_argument("--work", nargs="+", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--peer", nargs="*", choices=names, default=names)
    parser.add_argument("--target", default=here)
    parser.add_argument("--compiler", nargs="+", choices=("gcc", "clang"), default=["gcc", "clang"])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--folder", type=Path, help="where runtimes are installed")
    parser.add_argument("--no-install", action="store_true", help="runtimes that are there only")
    parser.add_argument("--json", type=report_file)
    given = parser.parse_args(words)
    if given.target is None:
        print("this machine has neither AVX2 nor AVX-512")
        return 7
    folder = given.folder if given.folder is not None else cache_folder() / "runtimes"
    rooms = Rooms(folder.resolve(), given.peer, install=not given.no_install)
    for name in dict.fromkeys(peer for work in given.work for peer in PEERS[work]):
        with contextlib.suppress(AbsentError):  # said once for each work
            rooms.place(room_of(name))
    found: list[Figure] = []
    left_out: list[LeftOut] = []
    print(HEAD, flush=True)
    for name in given.work:
        own, absent = in_node(name, rooms, given) if name in WEB else natively(name, rooms, given)
        for one in sorted(own, key=lambda one: one.least):
            print(line(one, own), flush=True)
        for other in absent:
            print(f"{other.work:10} {other.tool}: not compared, {other.why}", flush=True)
        found += own
        left_out += absent
    print("", *otherwise(found), sep="\n")
    facts = [asdict(one) | dict(zip(("times", "times_row"), beside(one, found), strict=True)) for one in found]
    write_report(
        given.json, SCHEMA, VERSION, facts, rows=ROWS, rounds=given.rounds,
        packages={room.name: room.packages for room in ROOMS}, left_out=[asdict(one) for one in left_out],
    )  # fmt: skip
    if not any(one.own for one in found):
        return 7
    return 1 if any(one.exact is False for one in found) else 0


if __name__ == "__main__":
    sys.exit(finish(main))
