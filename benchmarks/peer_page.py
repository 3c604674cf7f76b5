"""The comparison with other generators as a page: bars of ratios, goals, and every figure.

Knows comparisons and verdicts; judges and measures nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from peer_figures import Figures
from peer_goals import FLASH, INSTRUCTIONS, SAME, Comparison, Verdict

_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:80rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}
table{border-collapse:collapse;width:100%;font-size:13px}th,td{padding:.25rem .6rem;border-bottom:1px solid #d8dee4;
text-align:right}th:first-child,td:first-child,td.t,th.t{text-align:left}td:nth-child(-n+2){white-space:nowrap}
div{overflow-x:auto}td.met{color:#116329}td.missed{color:#a40e26;font-weight:600}
svg text{font:12px system-ui,sans-serif;fill:#1b1f24}"""
_BAR, _LEFT, _WIDTH = 20, 190, 620
_GAP, _NUMBER = 5, 30  # before the number behind a bar, and its width


def html_page(
    figures: Sequence[Figures], found: Sequence[Comparison], goals: Sequence[Verdict], facts: Mapping[str, str],
    left_out: Sequence[str],
) -> str:  # fmt: skip
    """A page of its own: ratios as bars, goals, then every figure. No scripts, nothing from elsewhere."""
    stated = "".join(f"<li>{escape(name)}: {escape(value)}</li>" for name, value in facts.items())
    charts = "".join(
        f"<h2>{escape(core)}, {what}</h2>{_chart([one for one in found if one.core == core and one.what == what])}"
        for core in dict.fromkeys(one.core for one in found if one.ratio is not None)
        for what in (INSTRUCTIONS, FLASH)
    )
    met, judged = sum(one.met is True for one in goals), sum(one.met is not None for one in goals)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>aprgen beside other generators</title>'
        f"<style>{_STYLE}</style><h1>aprgen beside other generators</h1><ul>{stated}</ul>"
        "<p>A bar is aprgen's figure as a share of the best other generator's; the line across it is the goal, the "
        "dashed one as much as the other. Green: met, red: missed, grey: no goal. "
        f"Only forms count whose labels are the library's on {SAME:.0%} of the rows or more. Mean and most are "
        "instructions over the rows kept from training; at most is the bound of <code>aprgen wcet</code> for any row, "
        "which no other generator states (-).</p>"
        f"{charts}<h2>Goals: {met} of {judged} met</h2>"
        f"{_table(_GOAL_HEAD, ''.join(_goal_row(one) for one in goals))}"
        f"<h2>Best forms</h2>{_table(_BEST_HEAD, ''.join(_row(one) for one in found))}"
        f"<h2>Every form</h2>{_table(_FORM_HEAD, ''.join(_figures_row(one) for one in figures))}"
        f"{_left_out(left_out)}</html>\n"
    )


_GOAL_HEAD = ("model", "t:core", "t:quantity", "found", "goal", "t:", "t:figures")
_BEST_HEAD = (
    "model", "t:core", "t:figure", "aprgen", "t:form", "mean", "most", "at most", "cycles at most", "stack", "RAM",
    "best other", "t:by", "ratio", "goal",
)  # fmt: skip
_FORM_HEAD = (
    "model", "t:core", "t:form", "flash", "RAM", "stack", "mean", "most", "at most", "agree", "at edges", "error"
)  # fmt: skip


def _table(head: Sequence[str], rows: str) -> str:
    """Columns that begin with t: hold text."""
    cells = "".join(
        f'<th class="t">{one[2:]}</th>' if one.startswith("t:") else f"<th>{one}</th>" for one in head
    )  # fmt: skip
    return f"<div><table><tr>{cells}</tr>{rows}</table></div>"


def _left_out(reasons: Sequence[str]) -> str:
    if not reasons:
        return ""
    return f"<h2>Left out</h2><ul>{''.join(f'<li>{escape(one)}</li>' for one in reasons)}</ul>"


def at_most(one: Figures) -> str:
    """The bound in instructions; "-" where there is none to ask for."""
    if one.tool != "aprgen":
        return "-"
    if one.bound is None:
        return ""
    return "none" if one.bound.instructions is None else f"{one.bound.instructions:,}"


def cycles_at_most(one: Figures) -> str:
    return "" if one.bound is None or one.bound.cycles is None else f"{one.bound.cycles:,}"


def _goal_row(one: Verdict) -> str:
    found = "" if one.found is None else f"{one.found:,.4g}"
    state = {True: "met", False: "missed", None: ""}[one.met]
    return (
        f'<tr><td>{escape(one.model)}</td><td class="t">{escape(one.core)}</td>'
        f'<td class="t">{escape(one.quantity)}</td><td>{found}</td><td>{one.limit:,.4g}</td>'
        f'<td class="t {state}">{one.state}</td><td class="t">{escape(one.words)}</td></tr>'
    )


def _chart(found: Sequence[Comparison]) -> str:
    """Bars up to twice the other's figure."""
    bars = [one for one in found if one.ratio is not None]
    if not bars:
        return "<p>No other generator's figure.</p>"
    scale = _WIDTH / 2
    parts: list[str] = []
    for number, one in enumerate(bars):
        assert one.ratio is not None
        top = number * _BAR
        colour = {True: "#2da44e", False: "#cf222e", None: "#6e7781"}[one.met]
        width = max(1.0, min(one.ratio, 2.0) * scale)
        parts.append(f'<text x="{_LEFT - 8}" y="{top + 14}" text-anchor="end">{escape(one.model)}</text>')
        parts.append(f'<rect x="{_LEFT}" y="{top + 3}" width="{width:.1f}" height="14" fill="{colour}"/>')
        if one.goal is not None:
            at = _LEFT + one.goal * scale
            parts.append(f'<path d="M{at:.1f} {top + 1}v18" stroke="#1b1f24" stroke-width="2"/>')
        marks = (1.0,) if one.goal is None else (one.goal, 1.0)
        start = _beyond(width, [mark * scale for mark in marks])
        parts.append(f'<text x="{_LEFT + start:.1f}" y="{top + 14}">{one.ratio:.2f}</text>')
    height = len(bars) * _BAR
    parts.append(f'<path d="M{_LEFT + scale:.1f} 0v{height}" stroke="#6e7781" stroke-dasharray="3 3"/>')
    return f'<svg viewBox="0 0 {_LEFT + _WIDTH + 50} {height}" role="img" aria-label="ratios">{"".join(parts)}</svg>'


def _beyond(width: float, marks: Sequence[float]) -> float:
    """Where the number behind a bar begins, so that no mark crosses it."""
    start = width + _GAP
    for mark in sorted(marks):
        if start - _GAP < mark < start + _NUMBER:
            start = mark + _GAP
    return start


def _row(one: Comparison) -> str:
    state = {True: "met", False: "missed", None: ""}[one.met]
    theirs = "" if one.theirs is None else f"{one.theirs:,.0f}"
    ratio = "" if one.ratio is None else f"{one.ratio:.2f}"
    goal = "" if one.goal is None else f"{one.goal:.2f} {state}"
    form = one.our_form if one.same else f"{one.our_form}, labels differ"
    mine = one.mine
    return (
        f'<tr><td>{escape(one.model)}</td><td class="t">{escape(one.core)}</td><td class="t">{one.what}</td>'
        f'<td>{one.ours:,.0f}</td><td class="t">{escape(form)}</td><td>{mine.mean:,.0f}</td><td>{mine.most:,}</td>'
        f"<td>{at_most(mine)}</td><td>{cycles_at_most(mine)}</td><td>{mine.most_stack}</td><td>{mine.ram_bytes}</td>"
        f'<td>{theirs}</td><td class="t">{escape(one.their_form)}</td><td>{ratio}</td>'
        f'<td class="{state}">{goal}</td></tr>'
    )


def _figures_row(one: Figures) -> str:
    cells = (
        f"{one.flash_bytes:,}", str(one.ram_bytes), str(one.most_stack), f"{one.mean:,.0f}", f"{one.most:,}",
        at_most(one), "" if one.agree is None else f"{one.agree:.2%}", "" if one.edge is None else f"{one.edge:.2%}",
        "" if one.error is None else f"{one.error:.2g}",
    )  # fmt: skip
    start = f'<tr><td>{escape(one.model)}</td><td class="t">{escape(one.core)}</td>'
    numbers = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'{start}<td class="t">{escape(f"{one.tool} {one.form}")}</td>{numbers}</tr>'
