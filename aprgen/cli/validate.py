"""`aprgen validate`: every check on every file, and an exit status that says whether all passed.

Knows how checks are shown; what they are stands in `examination`.
"""

from __future__ import annotations

from rich.console import Console

from aprgen.cli.access import access_for, loading_for
from aprgen.cli.apbundle import examined
from aprgen.cli.examination import Check, Examination, checks
from aprgen.cli.inspect_facts import signature_facts
from aprgen.cli.printable import byte_count, visible
from aprgen.cli.progress import steps
from aprgen.cli.report import error_facts, of_file, print_json
from aprgen.cli.requests import Validate
from aprgen.cli.screen import BAD, DIM, GOOD, Line, console, print_box
from aprgen.container import Inspection
from aprgen.errors import AprgenError

STYLES = {"ok": GOOD, "failed": BAD, "not checked": DIM}


def validate_command(request: Validate) -> int:
    """0 when every file passes. Otherwise the first problem of the first failing file is raised, after the report."""
    first: AprgenError | None = None
    reports = []
    access, loading = access_for(request.opening), loading_for(request.opening)
    out = None if request.format == "json" else console()
    with steps(len(request.models)) as work:
        for path in request.models:
            work.next(visible(path.name))
            try:
                found = examined(path, request.struct, access, loading)
            except AprgenError as error:
                # A file that cannot be read is one failing file among several.
                if len(request.models) == 1:
                    raise
                first = first or error
                reports.append({"path": str(path), "valid": False, "checks": [], "problems": [error_facts(error)]})
                if out is not None:
                    print_box(out, visible(str(path)), _problem_lines(error), BAD)
                continue
            for seen in found:
                if first is None and seen.problems:
                    first = of_file(seen.problems[0], seen.path)
                reports.append(_report(seen))
                if out is not None:
                    _print(out, seen)
    if request.format == "json":
        print_json({"valid": first is None, "files": reports})
    if first is not None:
        raise first
    return 0


def _report(seen: Examination) -> dict[str, object]:
    return {
        "path": str(seen.path),
        "sha256": seen.sha256,
        "valid": not seen.problems,
        "checks": [
            {"name": check.name, "about": check.about, "state": check.state, "problems": _facts(check)}
            for check in checks(seen)
        ],
        "signature": signature_facts(seen.found),
        "notes": list(seen.findings),
        "problems": [error_facts(problem) for problem in seen.problems],
    }


def _facts(check: Check) -> list[dict[str, object]]:
    return [error_facts(problem) for problem in check.problems]


def _print(out: Console, seen: Examination) -> None:
    lines = [Line("file", byte_count(seen.data_bytes))]
    for check in checks(seen):
        about = check.about if check.state != "failed" else ""
        lines.append(Line(check.name, f"{check.state:<12} {about}".rstrip(), STYLES[check.state]))
        for problem in check.problems:
            lines += _problem_lines(problem)
    found = seen.found
    if isinstance(found, Inspection) and found.signature is not None:
        lines.append(Line("signature", visible(found.verification.sentence)))
    lines += [Line("note", visible(note)) for note in seen.findings]
    verdict = "not valid" if seen.problems else "valid"
    print_box(out, f"{visible(str(seen.path))}: {verdict}", lines, BAD if seen.problems else GOOD)


def _problem_lines(problem: AprgenError) -> list[Line]:
    return [
        Line("", f"{problem.code}: {visible(problem.what)}"),
        Line("", f"  where: {visible(problem.where)}"),
        Line("", f"  to do: {visible(problem.hint)}"),
    ]
