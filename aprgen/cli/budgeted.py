"""`aprgen compile` with a budget: searches for code that fits, and shows what was tried.

Knows the table; the search is `aprgen.search`'s.
"""

from __future__ import annotations

from aprgen.cli.choices import stack_of, subject_for, whole
from aprgen.cli.printable import visible
from aprgen.cli.progress import Steps
from aprgen.cli.requests import Compile
from aprgen.cli.screen import BAD, GOOD, Cell, console, print_table
from aprgen.exploration import taken_facts
from aprgen.loaded import Loaded
from aprgen.search import Search, search
from aprgen.target import Target


def searched(request: Compile, loaded: Loaded, target: Target, work: Steps) -> Search:
    """All that was tried until something fitted."""
    subject = subject_for(
        loaded, request.model, target, request.board, request.numeric, name=request.name, struct=request.struct,
        opening=request.opening, tools=request.tools,
    )  # fmt: skip
    mode, optimise = request.numeric.mode, request.numeric.optimise
    return search(subject, dict(request.limits), mode, optimise, lambda what: work.say(f"trying {what}"))


def search_facts(found: Search) -> list[dict[str, object]]:
    """For JSON, in the order of trying."""
    tried: list[dict[str, object]] = [
        taken_facts(one.taken) | {"misses": [miss.sentence for miss in one.misses], "fits": not one.misses}
        for one in found.tried
    ]
    refused: list[dict[str, object]] = [
        {"numeric": one.choice.numeric, "optimise": one.choice.optimise, "fits": False, "refused": one.error.what}
        for one in found.refused
    ]
    return tried + refused


def print_search(found: Search) -> None:
    """A row for each choice: what it takes, and whether it fits."""
    rows: list[tuple[Cell | str, ...]] = []
    for one in found.tried:
        taken = one.taken
        cycles = taken.bound.most if taken.bound is not None and taken.bound.unit == "cycles" else None
        missed = ", ".join(miss.limit for miss in one.misses)
        rows.append(
            (
                taken.choice.words, whole(taken.flash_bytes), whole(taken.variable_bytes), stack_of(taken),
                whole(cycles), Cell(f"over: {missed}", BAD) if missed else Cell("fits", GOOD),
            )
        )  # fmt: skip
    rows += [(one.choice.words, "-", "-", "-", "-", Cell(visible(one.error.what), BAD)) for one in found.refused]
    columns = ("tried", "flash", "variables", "stack", "cycles at most", "")
    print_table(console(), "", columns, rows, right=columns[1:5])
