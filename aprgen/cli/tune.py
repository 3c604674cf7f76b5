"""`aprgen tune`: measures models and adds to a file of records, merges such files, or says how good costs are that are
learned from one.

Knows tables and files; measuring is `aprgen.tuning`'s, learning `aprgen.tuned`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict

from aprgen.cli.artifact import loaded_from, name_for
from aprgen.cli.printable import count_of, visible
from aprgen.cli.progress import Steps, steps
from aprgen.cli.report import print_json
from aprgen.cli.screen import DIM, GOOD, NEUTRAL, Cell, console, print_table
from aprgen.cli.tune_words import Evaluate, Merge, Tune
from aprgen.costs import BatchCost
from aprgen.errors import UnsupportedError
from aprgen.output_folder import require_files
from aprgen.target import load_target
from aprgen.tuned.evaluation import AS_GOOD, Errors, Evaluation, Picks, evaluate
from aprgen.tuned.learned import MANY_ROWS
from aprgen.tuned.records import Merged, Record, add_records, merged, read_records, write_records
from aprgen.tuning import Question, Tuning, tune, words_of

STEPS = 30  # of a model, about


def tune_command(request: Tune) -> int:
    """Records are written after each model: what was measured stays, whatever happens later."""
    target = load_target(request.target)
    require_files(request.records)
    if request.records.exists():
        read_records(request.records)  # a bad file is told before anything is measured
    found: list[tuple[str, Tuning]] = []
    kept = 0
    with steps(STEPS * len(request.models)) as work:
        for path in request.models:
            loaded = loaded_from(path, request.struct, request.opening)
            name = name_for(path, None)
            question = Question(request.rows, request.seconds, request.tools)
            tuning = tune(loaded, name, target, question, _saying(work, name))
            found.append((str(path), tuning))
            kept = len(add_records(request.records, tuning.records).records)
    if request.format == "json":
        print_json(
            {
                "target": target.name,
                "records": str(request.records),
                "models": [
                    {"model": file, "left_out": tuning.left_out, "measured": [asdict(one) for one in tuning.records]}
                    for file, tuning in found
                ],
            }
        )
        return 0
    for file, tuning in found:
        _print_tuning(file, target.name, tuning)
    print(visible(f"{count_of(kept, 'record')} in {request.records}"))
    return 0


def merge_command(request: Merge) -> int:
    """All files are read before one is written."""
    records = [record for path in request.files for record in read_records(path)[0]]
    joined = merged(records)
    write_records(request.out, joined.records)
    facts = {"out": str(request.out), "read": len(records), **_merged_facts(joined)}
    if request.format == "json":
        print_json(facts)
    else:
        print(visible(f"{count_of(len(joined.records), 'record')} in {request.out}, of {len(records)} read"))
        print(f"{joined.same} stood there more than once, {joined.replaced} gave way to fuller measurements")
    return 0


def evaluate_command(request: Evaluate) -> int:
    """Costs of targets that this aprgen does not have are left out, and it says so."""
    records, sha256 = read_records(request.file)
    missing: set[str] = set()

    def cost_of(name: str) -> BatchCost | None:
        try:
            return load_target(name).batch
        except UnsupportedError:
            missing.add(name)
            return None

    found = evaluate(records, cost_of)
    if request.format == "json":
        facts = [asdict(one) for one in found]
        print_json({"file": str(request.file), "sha256": sha256, "evaluations": facts, "left_out": sorted(missing)})
        return 0
    _print_evaluations(found)
    for name in sorted(missing):
        print(visible(f"left out: this aprgen has no target {name}"))
    if not found:
        print("no records to learn from")
    return 0


def _saying(work: Steps, name: str) -> Callable[[str], None]:
    return lambda what: work.next(visible(f"{name}: {what}"))


def _merged_facts(joined: Merged) -> dict[str, object]:
    return {"records": len(joined.records), "same": joined.same, "replaced": joined.replaced}


def _print_tuning(path: str, target: str, tuning: Tuning) -> None:
    many = [record for record in tuning.records if record.rows >= MANY_ROWS]
    columns = ("strategy", "ns a row, least", "median", "of the best", "turns")
    rows = [
        (
            Cell(words_of(record.choices), GOOD if record is many[0] else NEUTRAL), f"{record.least:,.1f}",
            f"{record.median:,.1f}", f"{record.least / many[0].least:.2f}", str(record.repeats),
        )
        for record in many
    ]  # fmt: skip
    print_table(console(), visible(f"{path} on {target}, {many[0].rows} rows a call"), columns, rows, right=columns[1:])
    few = [record for record in tuning.records if record.rows < MANY_ROWS]
    if few:
        of_few = ("rows a call", "in a block, ns a row", "as few rows")
        sizes = sorted({record.rows for record in few})
        print_table(console(), "", of_few, [(str(n), *_few_cells(few, n)) for n in sizes], right=of_few)
    if tuning.left_out:
        print(f"{count_of(tuning.left_out, 'strategy', 'strategies')} left out: no time was left (--seconds)")


def _few_cells(few: Sequence[Record], rows: int) -> tuple[Cell, ...]:
    """In a block, and as few rows; the quicker one stands out."""
    own = sorted((one for one in few if one.rows == rows), key=lambda one: one.choices.few_rows or 0)
    least = min(one.least for one in own)
    return tuple(Cell(f"{one.least:,.1f}", GOOD if one.least == least else DIM) for one in own)


def _print_evaluations(found: Sequence[Evaluation]) -> None:
    columns = ("target", "of", "costs", "best", "mean", "worst", "error, blocks", "rows alone")
    rows: list[tuple[str, ...]] = []
    for one in found:
        errors = (_error_cell(one.blocks), _error_cell(one.alone))
        learned, stated = _picks_cells(one.learned, one), _picks_cells(one.stated, one)
        rows.append((visible(one.target), one.kind, "learned", *learned, *errors))
        rows.append(("", "", "stated", *stated, "", ""))
    print_table(console(), "Each model's strategy by costs learned from all others", columns, rows, right=columns[3:])
    print(f"best: at most {AS_GOOD - 1:.0%} slower than the quickest that was measured; times are relative to that")
    print("errors of predicted times: the median and the worst, of strategies for blocks and of rows alone")
    for one in found:
        if one.lacking:
            print(visible(f"-: {one.target}, {one.kind}: {one.lacking}"))
    for one in found:
        _print_costs(one)


def _picks_cells(picks: Picks | None, one: Evaluation) -> tuple[str, str, str]:
    if picks is None:
        return "-", "-", "-"
    return f"{picks.best} of {one.models}", f"{picks.mean:.3f}", f"{picks.worst:.2f}"


def _error_cell(errors: Errors | None) -> str:
    return "" if errors is None else f"{errors.median:.0%}, {errors.worst:.0%}"


def _print_costs(one: Evaluation) -> None:
    columns = ("cost", "stated", "learned")
    rows = [(visible(term), "" if before is None else f"{before:,.0f}", f"{after:,.0f}")
            for term, (before, after) in one.costs.items()]  # fmt: skip
    title = f"{one.target}, {one.kind}: cycles for 1,000 rows; {one.cpu}, {one.compiler}, {one.records} records"
    print_table(console(), visible(title), columns, rows, right=columns[1:])
    for name, value in one.changed.items():
        print(f"{name} = {value} is quicker than what the target states")

