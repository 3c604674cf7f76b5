"""The timing report: its verdict, its schema, its page, its header, and what it says of a former one."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from aprgen.errors import UsageError
from aprgen.wcet import page, schema
from aprgen.wcet.report import Former
from aprgen.wcet.verdict import difference_to, meets_deadline
from tests.wcet.reports import CONFIGURATION, IDENTITY, REFUSED, SCORES, report, violated, written

VOID_TAGS = ("meta", "br", "rect", "line")
FORMER = Former(
    "66" * 32, IDENTITY.core, IDENTITY.model_sha256, IDENTITY.timing_sha256, IDENTITY.compiler, {}, "cycles"
)  # fmt: skip


def test_verdict() -> None:
    """The verdict gives the function that takes longest, its time, and what is left until the deadline."""
    quick = replace(SCORES, function="brake_classify", cycles=1_500)
    verdict = report(quick, SCORES).verdict

    assert (verdict.status, verdict.entry, verdict.cycles) == ("bound", "brake_scores", 2_000)
    assert (verdict.time_us, verdict.margin_us, verdict.utilisation) == (20.0, 5.0, 0.8)
    assert verdict.sentence == (
        "brake_scores takes at most 2,000 cycles on cortex-m4 with 0 wait states, 20.00 us at 100 MHz, "
        "5.00 us before the deadline of 25 us."
    )
    assert meets_deadline(verdict)


def test_late() -> None:
    """A bound beyond the deadline is a negative margin, and the sentence says by how much."""
    verdict = report(configuration=replace(CONFIGURATION, deadline_us=16.0)).verdict

    assert verdict.margin_us == -4.0
    assert "4.00 us after the deadline of 16 us" in verdict.sentence
    assert not meets_deadline(verdict)


def test_one_refusal_refuses_all() -> None:
    """A function without a bound is not hidden behind one that has a bound."""
    verdict = report(SCORES, REFUSED).verdict

    assert (verdict.status, verdict.entry) == ("refused", "brake_classify")
    assert (verdict.cycles, verdict.margin_us) == (None, None)
    assert "a loop has no bound" in verdict.sentence


def test_without_clock() -> None:
    """Without a clock there are cycles and no times."""
    verdict = report(configuration=replace(CONFIGURATION, clock_mhz=None, deadline_us=None)).verdict

    assert (verdict.cycles, verdict.time_us, verdict.margin_us, verdict.utilisation) == (2_000, None, None, None)


def test_schema() -> None:
    """Reports keep to the schema, refused ones and void ones too."""
    for one in (report(), report(REFUSED), report(SCORES, REFUSED), report(violated())):
        assert schema.faults(written(one)) == ()


def _key_paths(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    if isinstance(value, dict):
        return [p for key, item in value.items() for p in ((*path, key), *_key_paths(item, (*path, key)))]
    if isinstance(value, list):
        return [p for number, item in enumerate(value) for p in _key_paths(item, (*path, number))]
    return []


def test_schema_misses_nothing() -> None:
    """Removing any key, or giving it a value of another kind, is found."""
    document = written(report())
    paths = _key_paths(document)
    assert len(paths) > 100
    for path in paths:
        for change in ("remove", "replace"):
            damaged = copy.deepcopy(document)
            place = damaged
            for step in path[:-1]:
                place = place[step]
            if change == "remove":
                del place[path[-1]]
            else:
                place[path[-1]] = "true" if isinstance(place[path[-1]], bool) else True
            assert schema.faults(damaged) != (), (path, change)


def test_schema_refuses_more() -> None:
    """An unknown key, an unknown status and a negative count are found."""
    for path, value in ((("extra",), 1), (("verdict", "status"), "fine"), (("entries", 0, "cycles"), -1)):
        damaged = written(report())
        place = damaged
        for step in path[:-1]:
            place = place[step]  # type: ignore[index]
        place[path[-1]] = value  # type: ignore[index]
        assert len(schema.faults(damaged)) == 1


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.links: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        self.ids |= {value or "" for name, value in attrs if name == "id"}
        if tag not in VOID_TAGS:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID_TAGS:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def _read(html: str) -> _Reader:
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


def test_page() -> None:
    """The page is whole, needs nothing from elsewhere, and shows the verdict, the witness and every part."""
    html = page.html(written(report()))
    reader = _read(html)

    assert reader.links
    assert {link[1:] for link in reader.links} <= reader.ids  # nothing leads out of the page
    assert "url(" not in html
    for words in (
        report().verdict.sentence, "Interrupts, preemption", "2,000", "20.00", "1.053", "38 of 40 edges",
        "No observation contradicts", "0.25, nan", "ldr r3, [r0]", "Where the uncertainty lies", "24",
        "No interrupt is taken.", IDENTITY.image_sha256, IDENTITY.command, "0x00000110",
    ):  # fmt: skip
        assert words in reader.text, words


def test_page_in_order() -> None:
    """Verdict first; then the parts of a timing report in the order in which a safety engineer reads them."""
    html = page.html(written(report(SCORES, REFUSED)))
    headings = [
        "Functions of the interface", "Identity", "Assumptions", "Functions on the worst path", "Loops", "Observed",
        "Worst path in the source", "Stack", "Memory", "No heap", "Load time of the file", "Schedulability",
        "What was refused, and why",
    ]  # fmt: skip
    places = [html.index(f">{heading}</h") for heading in headings]

    assert sorted(places) == places
    assert html.index("No bound for brake_classify") < places[0]


def test_page_shows_lines_load_and_tasks() -> None:
    """Lines of C stand beside their instructions, escaped; an estimate is named one; a late task is marked."""
    document = written(report())
    text = _read(page.html(document)).text

    for words in (
        "for (uint32_t t = 0U; t < 10U; ++t) {", "/* walk <&> */", "110  ldr r3, [r0]  60\u00d7, 900", "75.0 %",
        "estimate, no bound", "39,045", "The largest model that packs as well", "schedulable", "(interrupt)",
        "frame of memcpy (not in the deepest chain)", "26 words", "none of them",
    ):  # fmt: skip
        assert words in text, words
    document["schedule"]["tasks"][1]["meets"] = document["schedule"]["schedulable"] = False
    document["memory"]["heap"][0]["holds"] = False
    html = page.html(document)
    assert "not schedulable" in html
    assert '<td class="bad">missed</td>' in html
    assert '<td class="bad">no</td>' in html


def test_page_with_a_file_that_costs_nothing() -> None:
    """Of a function only the first file is listed where the worst path takes nothing in it."""
    document = written(report())
    listing = document["entries"][0]["listings"][0]
    document["entries"][0]["listings"] = [listing, {**listing, "file": "idle.h", "cost": 0}]

    assert "from idle.h" not in page.html(document)
    document["entries"][0]["listings"] = [{**listing, "file": "idle.h", "cost": 0}]
    assert "from idle.h" in page.html(document)


def test_page_of_a_refusal() -> None:
    """A refusal shows its reason, escaped, and no number of cycles."""
    html = page.html(written(report(REFUSED)))
    reader = _read(html)

    assert "a loop has no bound <&>" in reader.text
    assert "<&>" not in html
    assert "mark the loop" in reader.text
    assert "worst case" not in reader.text.replace("Worst-case", "")


def test_page_of_a_contradiction() -> None:
    """An observation above the bound makes the page say that the report is void, first of all."""
    text = _read(page.html(written(report(violated())))).text

    assert "void: an observation contradicts the analysis" in text
    assert "a run costs 2,001 cycles" in text
    assert "No observation contradicts" not in text


def test_picture() -> None:
    """Bars and bound stand on one scale: the bound at the right end, bars inside, heights by runs."""
    entry = written(report())["entries"][0]
    picture = page.picture(entry["cycles"], entry["observed"])

    assert [bar.height for bar in picture.bars] == [100.0, 0.0, 66.7]
    assert picture.bound_x == page.PICTURE_WIDTH - 20
    assert all(10 <= bar.x and bar.x + bar.width <= picture.high_x + 2 for bar in picture.bars)


def test_rare_runs_are_seen() -> None:
    """One run among thousands has a bar that can be seen, and an empty range has none."""
    entry = written(report())["entries"][0]
    entry["observed"]["distribution"][0]["runs"] = 1_000_000
    entry["observed"]["distribution"][2]["runs"] = 1

    assert [100.0, 0.0, 2.0] == [bar.height for bar in page.picture(entry["cycles"], entry["observed"]).bars]


def test_header(require_tool: Callable[[str], None], tmp_path: Path) -> None:
    """The constants are C that compiles in every dialect we know, and they are the report's."""
    require_tool("gcc")
    gcc = shutil.which("gcc")
    assert gcc is not None
    (tmp_path / "brake_wcet.h").write_text(page.header(written(report())))
    source = tmp_path / "use.c"
    source.write_text(
        '#include "brake_wcet.h"\n'
        "typedef char cycles[(BRAKE_WCET_CYCLES == 2000UL) && (BRAKE_SCORES_WCET_CYCLES == 2000UL) ? 1 : -1];\n"
        "typedef char bytes[(BRAKE_STACK_BYTES == 24UL) && (BRAKE_FLASH_BYTES == 1300UL) ? 1 : -1];\n"
    )
    for dialect in ("c99", "c11"):
        words = (gcc, f"-std={dialect}", "-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", str(source))
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert (0, "") == (done.returncode, done.stderr)


WARNINGS = ("-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wstrict-prototypes", "-Werror")
DIALECTS = [
    ("gcc", "c99"), ("gcc", "c11"), ("gcc", "gnu17"), ("clang-14", "c99"), ("clang-14", "c11"),
    ("arm-none-eabi-gcc", "c99"), ("arm-none-eabi-gcc", "c11"),
]  # fmt: skip
BUDGETS = (("CYCLES", 2_000), ("STACK_BYTES", 24), ("FLASH_BYTES", 1_300))


@pytest.mark.parametrize(("compiler", "dialect"), DIALECTS)
def test_budgets(compiler: str, dialect: str, require_tool: Callable[[str], None], tmp_path: Path) -> None:
    """A budget that is kept compiles without a warning, one that is missed by one does not compile and is named."""
    require_tool(compiler)
    program = shutil.which(compiler)
    assert program is not None
    header = tmp_path / "brake_wcet.h"
    header.write_text(page.header(written(report())))
    source = tmp_path / "use.c"
    source.write_text('#include "brake_wcet.h"\n#include "brake_wcet.h"\nextern int used;\n')

    def compiled(*budgets: tuple[str, int]) -> tuple[int, str]:
        words = [f"-DBRAKE_BUDGET_{what}={number}U" for what, number in budgets]
        command = (program, f"-std={dialect}", *WARNINGS, *words, "-fsyntax-only", str(source))
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # type: ignore[arg-type]
        return done.returncode, done.stderr

    assert (0, "") == compiled()
    assert (0, "") == compiled(*BUDGETS)
    for what, number in BUDGETS:
        status, stderr = compiled((what, number - 1))
        assert status != 0
        assert f"brake_misses_its_budget_of_{what.lower()}" in stderr


@pytest.mark.parametrize(("before", "gate", "passed"), [(2_000, 0.0, True), (1_900, 5.0, False), (1_900, 6.0, True)])
def test_gate(before: int, gate: float, passed: bool) -> None:
    """The gate fails exactly when a bound grew by more than its percent."""
    former = replace(FORMER, most={"brake_scores": before})
    difference = difference_to((SCORES,), IDENTITY, former, gate)

    assert difference.passed is passed
    assert [(c.before, c.after) for c in difference.changes] == [(before, 2_000)]
    assert difference.notes == ()


def test_gate_on_a_lost_bound() -> None:
    """A function that had a bound and has none now fails the gate."""
    former = replace(FORMER, most={"brake_classify": 10})
    difference = difference_to((REFUSED,), IDENTITY, former, 50.0)

    assert not difference.passed
    assert difference.notes == ("brake_classify had a bound of 10 and has none now",)


def test_former_report(tmp_path: Path) -> None:
    """A report is read back as a former one; other files are refused in one sentence."""
    one = report(SCORES, REFUSED)
    former = schema.former_report(json.dumps(written(one)).encode(), "old.json")

    assert former.most == {"brake_scores": 2_000}
    assert former.image_sha256 == IDENTITY.image_sha256
    for data in (b"{", b"[]", b"{}", b"\xff"):
        with pytest.raises(UsageError) as caught:
            schema.former_report(data, "old.json")
        assert caught.value.code == "wcet.compare"
