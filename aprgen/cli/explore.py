"""`aprgen explore`: builds every numeric mode and shape, prints those that are worth having, writes JSON and a page.

Knows tables and files; measuring is `aprgen.exploration`'s, the page `aprgen.exploration_page`'s.
"""

from __future__ import annotations

import json

from aprgen.cli.artifact import loaded_from
from aprgen.cli.choices import MISSING, stack_of, subject_for, whole
from aprgen.cli.printable import visible
from aprgen.cli.progress import steps
from aprgen.cli.report import plain, print_json
from aprgen.cli.requests import Explore, Numerics
from aprgen.cli.screen import DIM, GOOD, Cell, console, print_table
from aprgen.exploration import Exploration, candidates_most, explore, facts_of
from aprgen.exploration_page import html
from aprgen.output_folder import require_files, write_file
from aprgen.target import load_target


def explore_command(request: Explore) -> int:
    """Files are written when all is measured; where they cannot be is said before."""
    require_files(request.json, request.html)
    target = load_target(request.target)
    loaded = loaded_from(request.model, request.struct, request.opening)
    numeric = Numerics("f32", request.calibrate, None, request.method, None, None)
    subject = subject_for(
        loaded, request.model, target, request.board, numeric, name=request.name, struct=request.struct,
        opening=request.opening, tools=request.tools,
    )  # fmt: skip
    with steps(candidates_most(subject)) as work:
        found = explore(subject, lambda what: work.next(visible(f"{what} for {target.name}")))
    facts = facts_of(found)
    text = json.dumps(plain(facts), indent=1, allow_nan=False) + "\n"
    if request.json is not None:
        write_file(request.json, text.encode())
    if request.html is not None:
        write_file(request.html, html(json.loads(text)).encode())
    if request.format == "json":
        print_json(facts)
    else:
        _print(request, found)
    return 0


def _print(request: Explore, found: Exploration) -> None:
    units = [one.bound.unit for one in found.taken if one.bound is not None]
    at_most = f"{units[0]} at most" if units else "at most"
    has_codes = any(one.bound is not None and one.bound.codes is not None for one in found.taken)
    of_codes = ("of codes",) if has_codes else ()
    has_flash = any(one.codes_flash_bytes is not None for one in found.taken)
    columns = (
        "", "numeric", "optimise", "flash", *(of_codes if has_flash else ()), "variables", "stack", "mean", "most seen",
        at_most, *of_codes, "loss",
    )  # fmt: skip
    rows: list[tuple[Cell | str, ...]] = []
    for one, on_front in zip(found.taken, found.front, strict=True):
        style = "bold" if on_front else DIM
        bound = one.bound
        rows.append(
            (
                Cell("*", GOOD) if on_front else "",
                Cell(one.choice.numeric, style),
                Cell(one.choice.optimise or MISSING, style),
                whole(one.flash_bytes),
                *((whole(one.codes_flash_bytes),) if has_flash and has_codes else ()),
                whole(one.variable_bytes),
                stack_of(one),
                MISSING if one.mean is None else f"{one.mean:,.1f}",
                whole(one.most),
                whole(None if bound is None else bound.scores),
                *((whole(None if bound is None else bound.codes),) if has_codes else ()),
                f"{one.loss:.2%}" if one.loss else "0",
            )
        )
    out = console()
    print_table(out, visible(f"{found.name} on {found.target}"), columns, rows, right=columns[3:])
    print("* nothing else is as good in every column and better in one")
    print(visible(f"bytes; {found.taken[0].unit} of the function of scores, the mean over {found.rows}"))
    if not all(one.stack_is_bound for one in found.taken):
        print("~ stack that rows used, where no bound of it is known")
    for one in found.taken:
        if one.same:
            print(visible(f"{one.choice.words}: the same code as {', '.join(same.words for same in one.same)}"))
    for refused in found.refused:
        print(visible(f"{refused.choice.words}: refused, {refused.error.what}"))
    for note in found.notes:
        print(visible(f"note: {note}"))
    for option, path in (("JSON", request.json), ("HTML", request.html)):
        if path is not None:
            print(visible(f"{option}: {path}"))
