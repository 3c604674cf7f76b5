"""`aprgen wcet`: bounds time and stack of the code as built, prints the verdict first, writes the reports asked for.

Knows the files and the exit status; the analysis is `wcet.analyse`'s.
"""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console

from aprgen.cli.artifact import artifact_for, loaded_from, name_for, reproduce
from aprgen.cli.printable import count_of, visible
from aprgen.cli.progress import steps
from aprgen.cli.report import print_json
from aprgen.cli.requests import Wcet
from aprgen.cli.screen import BAD, DIM, GOOD, Cell, Line, console, print_box, print_table
from aprgen.errors import BudgetError, ComparisonError, UnsupportedError, UsageError
from aprgen.output_folder import require_files, write_file
from aprgen.target import Target, load_target
from aprgen.wcet.analyse import Analysed, Question, analyse
from aprgen.wcet.load import load_platform
from aprgen.wcet.page import header, html
from aprgen.wcet.report import ACCESSES, Former, Report, document
from aprgen.wcet.schema import former_report
from aprgen.wcet.settings import read_toml
from aprgen.wcet.taskset import read_tasks
from aprgen.wcet.timing import Figures
from aprgen.wcet.verdict import meets_deadline

MOST_FORMER_BYTES = 64 << 20


def wcet_command(request: Wcet) -> int:
    """Prints and writes the report whatever it says, then raises what it says: void, refused, grown, or late.

    It is printed first: a disk that is full does not take minutes of analysis with it.
    """
    require_files(request.html, request.json, request.header, request.object)
    former = None if request.compare is None else _former(request.compare)
    with steps(2) as work:
        work.next("compiling")
        target = load_target(request.target)
        loaded = loaded_from(request.model, request.struct, request.opening)
        artifact = artifact_for(
            loaded, request.model, target, name=request.name, numeric=request.numeric, struct=request.struct,
            opening=request.opening,
        )  # fmt: skip
        question = Question(
            clock_mhz=request.clock_mhz,
            wait_states=request.wait_states,
            line_bytes=request.line_bytes,
            deadline_us=request.deadline_us,
            core_options=dict(request.core_options),
            figures=None if request.timing is None else _figures(request.timing),
            rows=request.rows,
            witness_seconds=request.witness_seconds,
            tools=request.tools,
            model_file=request.model.name,
            command=_command(request, target),
            gate_percent=request.gate,
            measure=request.measure,
            tasks=None if request.tasks is None else read_tasks(request.tasks),
            platform=None if request.load is None else load_platform(request.load),
            load_budget_us=request.load_budget_us,
            load_jitter_us=request.load_jitter_us,
            text_bytes=request.text_bytes,
        )
        work.next(f"analysing for {visible(target.name)}")
        analysed = analyse(loaded, artifact, question, former)
    report = analysed.report
    if request.format == "json":
        print_json(document(report))
    else:
        _print(report)
    _write(request, analysed)
    _raise(report)
    return 0


def _figures(path: Path) -> Figures:
    return Figures(path.name, read_toml(path, "wcet.table"))


def _former(path: Path) -> Former:
    try:
        data = path.read_bytes()[: MOST_FORMER_BYTES + 1]
    except OSError as error:
        raise UsageError(
            "wcet.compare", f"cannot read the former report: {error.strerror}", where=path.name,
            hint="give a file written by --json",
        ) from error  # fmt: skip
    if len(data) > MOST_FORMER_BYTES:
        raise UsageError(
            "wcet.compare", "the file is larger than any report", where=path.name, hint="give a file written by --json"
        )
    return former_report(data, path.name)


def _command(request: Wcet, target: Target) -> str:
    """The command line that gives the same numbers, without paths."""
    made = reproduce(
        request.model, target, name_for(request.model, request.name), request.numeric, request.struct, request.opening
    )
    words = [made.replace("aprgen compile", "aprgen wcet", 1)]
    for option, value in (
        ("--clock-mhz", request.clock_mhz),
        ("--deadline-us", request.deadline_us),
        ("--wait-states", request.wait_states),
    ):
        if value is not None:
            words.append(f"{option} {value:g}")
    if request.wait_states:
        words.append(f"--line-bytes {request.line_bytes}")
    if request.text_bytes is not None:
        words.append(f"--text-bytes {request.text_bytes}")
    for option, given in (("--timing", request.timing), ("--tasks", request.tasks), ("--load", request.load)):
        if given is not None:
            words.append(f"{option} {Path(given).name}")
    for option, us in (("--load-budget-us", request.load_budget_us), ("--load-jitter-us", request.load_jitter_us)):
        if us is not None:
            words.append(f"{option} {us:g}")
    words += ["--measure"] if request.measure else []
    words += [f"--core-option {name}={value}" for name, value in request.core_options]
    return " ".join(words)


def _write(request: Wcet, analysed: Analysed) -> None:
    """Each file that was asked for, and a line about each, unless stdout is for a program."""
    report = analysed.report
    text = json.dumps(document(report), indent=1, allow_nan=False) + "\n"
    bounded = report.verdict.status != "refused" and not report.violations
    written = []
    if request.json is not None:
        write_file(request.json, text.encode())
        written.append(f"JSON: {request.json}")
    if request.html is not None:
        write_file(request.html, html(json.loads(text)).encode())
        written.append(f"HTML: {request.html}")
    if request.object is not None:
        write_file(request.object, analysed.object)
        written.append(f"object: {request.object}")
    if request.header is not None:
        if bounded:
            write_file(request.header, header(json.loads(text)).encode())
        why_not = "" if bounded else "not written, there is no bound to state"
        written.append(f"header: {why_not or request.header}")
    if request.format != "json":
        for line in written:
            print(visible(line))


def _print(report: Report) -> None:
    out = console()
    verdict = report.verdict
    void = bool(report.violations)
    bad = void or verdict.status == "refused" or not meets_deadline(verdict)
    lines = [Line("verdict", visible(verdict.sentence), BAD if bad else GOOD), Line("not included", verdict.excludes)]
    lines += [Line("void", visible(one), BAD) for one in report.violations[:5]]
    if verdict.utilisation is not None:
        lines.append(Line("of the deadline", f"{100 * verdict.utilisation:.1f} %"))
    if verdict.stack_bytes is not None:
        framed = any(entry.stack is not None and entry.stack.exception_bytes is not None for entry in report.entries)
        on_top = ", exception frames on top" if framed else ""
        lines.append(Line("stack", f"at most {count_of(verdict.stack_bytes, 'byte')}{on_top}"))
    title = f"{report.identity.name} on {report.identity.core}: {'void' if void else verdict.status}"
    print_box(out, visible(title), lines, BAD if bad else GOOD)
    counted = any(entry.counts for entry in report.entries)
    accesses = ("accesses",) if counted else ()
    columns = ("function", "at most", "at least", "observed", "bound/observed", *accesses, "stack", "status")
    rows: list[tuple[Cell | str, ...]] = []
    for entry in report.entries:
        observed = entry.observed
        made = next((f"{one.at_most:,}" for one in entry.counts if one.measure == ACCESSES), "-")
        rows.append(
            (
                Cell(visible(entry.function), "bold"),
                "-" if entry.most is None else f"{entry.most:,}",
                "-" if entry.least is None else f"{entry.least:,}",
                "-" if observed is None else f"{observed.high_maximum:,}",
                "-" if observed is None else f"{observed.ratio:.3f}",
                *((made,) if counted else ()),
                "-" if entry.stack is None else f"{entry.stack.bytes:,}",
                Cell(entry.status, BAD if entry.status == "refused" else DIM),
            )
        )
    print_table(out, "", columns, rows, right=columns[1:-1])
    of_texts = [
        Line(visible(entry.function), f"{entry.by_length.fixed:,} + {entry.by_length.per_byte:,} a byte")
        for entry in report.entries
        if entry.by_length is not None
    ]
    if of_texts:
        print_box(out, f"at most, for texts of up to {report.configuration.text_bytes:,} bytes", of_texts)
    for entry in report.entries:
        if entry.refusal is not None:
            why = entry.refusal
            parts = (("why", why.what), ("where", why.where), ("to do", why.hint))
            shown = [Line(label, visible(text)) for label, text in parts]
            print_box(out, visible(f"{entry.function}: refused"), shown, BAD)
    if report.difference is not None:
        changes = [
            Line(visible(one.function), f"{one.before:,} -> {one.after:,} ({one.percent:+.2f} %)")
            for one in report.difference.changes
        ]
        changes += [Line("note", visible(note)) for note in report.difference.notes]
        print_box(out, "difference to the former report", changes, "" if report.difference.passed else BAD)
    _print_times(out, report)
    _print_schedule(out, report)
    _print_load(out, report)
    if counted:
        print("at most, at least, observed: instructions, each 1; accesses: registers moved; neither is a time")
    else:
        print("at most, at least, observed: cycles by the timing table, not readings from silicon")
    print("what the numbers assume: see --html")


def _print_times(out: Console, report: Report) -> None:
    lines = [
        Line(
            visible(one.function),
            f"{one.median_ns:,.1f} ns a row in the median ({one.quartiles_ns[0]:,.1f} to {one.quartiles_ns[1]:,.1f}, "
            f"{one.repeats} passes over {one.rows:,} rows); {one.highest_row_ns:,.1f} ns for the slowest row",
        )
        for one in report.times
    ]
    if lines:
        lines.append(Line("machine", f"{visible(report.times[0].machine)}: measured there, no bound"))
        print_box(out, "measured times", lines)


def _print_schedule(out: Console, report: Report) -> None:
    if report.schedule is None:
        return
    found = report.schedule
    columns = ("task", "rank", "takes", "period", "deadline", "responds within", "")
    rows = [
        (
            Cell(visible(task.name), "bold"),
            f"{task.rank}{' (interrupt)' if task.interrupt else ''}",
            f"{task.wcet_us:,.2f}",
            f"{task.period_us:,.2f}",
            f"{task.deadline_us:,.2f}",
            "unbounded" if task.response_us is None else f"{task.response_us:,.2f}",
            Cell("meets it" if task.meets else "late", DIM if task.meets else BAD),
        )
        for task in found.tasks
    ]
    print_table(out, "tasks, in us", columns, rows, right=columns[2:6])
    out.print(visible(found.sentence), style=GOOD if found.schedulable else BAD)


def _print_load(out: Console, report: Report) -> None:
    if report.load is None:
        return
    found = report.load
    lines = [Line(term.name, f"{term.us:,.1f} us, {term.formula}") for term in found.terms]
    lines.append(Line("with margin", f"{found.total_us:,} us, the sum x {found.policy_margin:g} (a policy, no proof)"))
    if found.budget_us is not None:
        bad = not found.within_budget
        lines.append(Line("budget", f"{found.budget_us:,g} us", BAD if bad else GOOD))
        lines.append(Line("largest that fits", f"{count_of(found.largest_unpacked_bytes or 0, 'byte')} unpacked"))
    if found.ring_bytes is not None:
        lines.append(Line("ring buffer", f"{count_of(found.ring_bytes, 'byte')} for pauses of {found.jitter_us:,g} us"))
    print_box(out, visible(f"estimate, no bound: loading the file on {found.platform}"), lines)


def _raise(report: Report) -> None:
    verdict = report.verdict
    if report.violations:
        raise ComparisonError(
            "wcet.violation", f"an observation contradicts the analysis: {report.violations[0]}",
            where=f"target {report.identity.target}",
            hint="do not use these numbers; keep the report, and report it as a fault of aprgen",
        )  # fmt: skip
    if verdict.status == "refused":
        refused = next(entry.refusal for entry in report.entries if entry.refusal is not None)
        raise UnsupportedError(
            refused.code, f"{refused.function} has no bound: {refused.what}", where=refused.where, hint=refused.hint
        )
    if report.difference is not None and not report.difference.passed:
        raise ComparisonError(
            "wcet.gate", f"a bound grew by more than {report.difference.gate_percent:g} %, or is gone",
            where="--compare", hint="the report shows both; accept the growth with a new former report",
        )  # fmt: skip
    if not meets_deadline(verdict):
        raise BudgetError(
            "wcet.deadline", f"{verdict.sentence[:-1]}", where=verdict.entry,
            hint="choose a faster clock or core, a smaller model, or another deadline",
        )  # fmt: skip
    if report.schedule is not None and not report.schedule.schedulable:
        raise BudgetError(
            "sched.deadline", report.schedule.sentence[:-1], where=report.schedule.file,
            hint="choose a faster clock, a smaller model, longer periods or deadlines, or other priorities",
        )  # fmt: skip
    load = report.load
    if load is not None and load.within_budget is False:
        raise BudgetError(
            "load.budget", f"loading takes an estimated {load.total_us:,} us, the budget is {load.budget_us:,g} us",
            where=f"platform {load.platform}",
            hint=f"a model of at most {load.largest_unpacked_bytes:,} unpacked bytes that packs as well would fit",
        )  # fmt: skip
