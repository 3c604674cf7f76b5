"""The comparison with other generators as a table of ratios beside goals, and as a page with bars.

Knows figures and what is wanted of them; measures nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from peer_figures import Figures

SAME = 0.98  # of the labels; a generator's form that agrees less is not compared
LOSS = {"mlp_digits": 0.005, "mlp_wide": 0.005}  # of the labels that aprgen's forms may change; else none
CLOSE = 0.05  # of the largest value: a form with a larger error is not compared


@dataclass(frozen=True)
class Recorded:
    """The best figures known of generators that no package index has, from runs with gcc 12.2 and newlib."""

    tool: str
    instructions: int
    flash_bytes: int


# By model and core: fewest instructions, smallest flash. Models were trained likewise, not bit for bit alike.
RECORDED: Mapping[tuple[str, str], Sequence[Recorded]] = {
    ("gb_bc", "cortex-m4"): (Recorded("onnx2c", 1584, 19_800),),
    ("gb_bc", "cortex-m0plus"): (Recorded("onnx2c", 22_234, 22_028),),
    ("mlp_digits", "cortex-m4"): (Recorded("CMSIS-NN -O2", 7255, 7208), Recorded("CMSIS-NN -Os", 9807, 4856)),
    ("mlp_digits", "cortex-m0plus"): (Recorded("CMSIS-NN -O2", 18_340, 5840), Recorded("CMSIS-NN -Os", 23_384, 5384)),
    ("mlp_wide", "cortex-m4"): (Recorded("CMSIS-NN -O2", 188_977, 95_248), Recorded("CMSIS-NN -Os", 283_154, 92_864)),
    ("mlp_wide", "cortex-m0plus"): (
        Recorded("CMSIS-NN -O2", 509_860, 93_888), Recorded("CMSIS-NN -Os", 678_483, 93_424)
    ),
    ("svc_digits", "cortex-m4"): (Recorded("onnx2c", 4742, 2904),),
    ("svc_digits", "cortex-m0plus"): (Recorded("onnx2c", 100_243, 4904),),
    ("knn_iris", "cortex-m4"): (Recorded("emlearn int16, 96.7% agree", 15_500, 0),),
}  # fmt: skip


@dataclass(frozen=True)
class Goal:
    """At most these shares of the best other generator's figures; None: no goal."""

    instructions: float | None
    flash: float | None = None


_BOOSTED = {"cortex-m4": Goal(0.7, 0.5), "cortex-m0plus": Goal(0.12)}
_DENSE = {"cortex-m4": Goal(0.7), "cortex-m0plus": Goal(0.1)}
_NETWORK = {"cortex-m4": Goal(0.7, 0.7), "cortex-m0plus": Goal(0.75, 0.75)}
_BOTH = ("cortex-m4", "cortex-m0plus")
GOALS: Mapping[str, Mapping[str, Goal]] = {
    "rf_digits": dict.fromkeys(_BOTH, Goal(1.0, 0.75)),
    "rf_iris": dict.fromkeys(_BOTH, Goal(0.8, 0.8)),
    "gb_bc": _BOOSTED, "lgb_bc": _BOOSTED, "xgb_bc": _BOOSTED,
    "mlp_digits": _NETWORK, "mlp_wide": _NETWORK,
    "logreg_bc": _DENSE, "linreg_diabetes": _DENSE, "svc_digits": _DENSE,
    "pca_digits": dict.fromkeys(_BOTH, Goal(0.02)),
    "gnb_wine": dict.fromkeys(_BOTH, Goal(0.4)),
    "knn_iris": dict.fromkeys(_BOTH, Goal(0.4)),
}  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """aprgen's best figure of one kind beside the best of the others. ratio: None where there is no other."""

    model: str
    core: str
    what: str  # "instructions" or "flash"
    ours: float
    our_form: str
    theirs: float | None
    their_form: str
    ratio: float | None
    goal: float | None
    same: bool  # labels are the library's, on rows at thresholds too

    @property
    def met(self) -> bool | None:
        """None where there is nothing to meet."""
        return None if self.ratio is None or self.goal is None else self.same and self.ratio <= self.goal

    @property
    def line(self) -> str:
        """A row of the table that is printed."""
        ours = f"{self.ours:10,.0f} {self.our_form + ('' if self.same else ', labels differ'):24}"
        if self.theirs is None or self.ratio is None:
            return f"{self.model:16} {self.core:13} {self.what:12} {ours}"
        goal = "" if self.goal is None else f" goal {self.goal:.2f} {'met' if self.met else 'MISSED'}"
        return (
            f"{self.model:16} {self.core:13} {self.what:12} {ours} {self.theirs:10,.0f} {self.their_form:34} "
            f"ratio {self.ratio:.2f}{goal}"
        )


def compared(figures: Sequence[Figures]) -> tuple[Comparison, ...]:
    """Per model and core the fewest instructions and the least flash, of forms whose answers are the library's."""
    found: list[Comparison] = []
    for model, core in dict.fromkeys((one.model, one.core) for one in figures):
        here = [one for one in figures if (one.model, one.core) == (model, core) and _answers(one)]
        goal = GOALS.get(model, {}).get(core, Goal(None))
        recorded = RECORDED.get((model, core), ())
        close = [one for one in here if one.tool == "aprgen"]
        ours = [one for one in close if _same(one)] or close
        if not ours:
            continue
        for what, wanted in (("instructions", goal.instructions), ("flash", goal.flash)):
            mine = min(ours, key=lambda one: _figure(one, what))
            others = [(_figure(one, what), f"{one.tool} {one.form}") for one in here if one.tool != "aprgen"]
            others += [(_recorded(one, what), f"{one.tool}, recorded") for one in recorded if _recorded(one, what) > 0]
            best = min(others, default=None)
            value = _figure(mine, what)
            found.append(
                Comparison(
                    model, core, what, value, mine.form, None if best is None else best[0],
                    "" if best is None else best[1], None if best is None else value / best[0], wanted, _same(mine),
                )
            )  # fmt: skip
    return tuple(found)


def _answers(one: Figures) -> bool:
    """Whether a form is compared: most labels are the library's, or its values are close."""
    if one.exact is False:
        return False
    return one.agree >= SAME if one.agree is not None else (one.error or 0.0) <= CLOSE * one.largest


def _same(one: Figures) -> bool:
    """Whether a form of aprgen's answers as the library does, but for what is allowed."""
    return one.agree is None or (one.agree >= 1 - LOSS.get(one.model, 0.0) and one.edge in (None, 1.0))


def _figure(one: Figures, what: str) -> float:
    return one.mean if what == "instructions" else float(one.flash_bytes)


def _recorded(one: Recorded, what: str) -> float:
    return float(one.instructions if what == "instructions" else one.flash_bytes)


_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}
table{border-collapse:collapse;width:100%;font-size:13px}th,td{padding:.25rem .6rem;border-bottom:1px solid #d8dee4;
text-align:right}th:first-child,td:first-child,td.t,th.t{text-align:left}td.met{color:#116329}td.missed{color:#a40e26;
font-weight:600}svg text{font:12px system-ui,sans-serif;fill:#1b1f24}"""
_BAR, _LEFT, _WIDTH = 20, 190, 620


def html_page(figures: Sequence[Figures], facts: Mapping[str, str]) -> str:
    """A page of its own: ratios as bars, then every figure. No scripts, nothing from elsewhere."""
    found = compared(figures)
    stated = "".join(f"<li>{escape(name)}: {escape(value)}</li>" for name, value in facts.items())
    charts = "".join(
        f"<h2>{escape(core)}, {what}</h2>{_chart([one for one in found if one.core == core and one.what == what])}"
        for core in dict.fromkeys(one.core for one in found)
        for what in ("instructions", "flash")
    )
    rows = "".join(_row(one) for one in found)
    every = "".join(_figures_row(one) for one in figures)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>aprgen beside other generators</title>'
        f"<style>{_STYLE}</style><h1>aprgen beside other generators</h1><ul>{stated}</ul>"
        "<p>A bar is aprgen's figure as a share of the best other generator's; the line across it is the goal. "
        f"Only forms count whose labels are the library's on {SAME:.0%} of the rows or more.</p>{charts}"
        '<h2>Best forms</h2><table><tr><th>model</th><th class="t">core</th><th class="t">figure</th><th>aprgen</th>'
        '<th class="t">form</th><th>best other</th><th class="t">by</th><th>ratio</th><th>goal</th></tr>'
        f"{rows}</table><h2>Every form</h2><table><tr><th>model</th><th class='t'>core</th><th class='t'>form</th>"
        "<th>flash</th><th>RAM</th><th>stack</th><th>mean</th><th>most</th><th>agree</th><th>at edges</th>"
        f"<th>error</th></tr>{every}</table></html>\n"
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
        parts.append(f'<text x="{_LEFT + width + 5:.1f}" y="{top + 14}">{one.ratio:.2f}</text>')
    height = len(bars) * _BAR
    parts.append(f'<path d="M{_LEFT + scale:.1f} 0v{height}" stroke="#6e7781" stroke-dasharray="3 3"/>')
    return f'<svg viewBox="0 0 {_LEFT + _WIDTH + 50} {height}" role="img" aria-label="ratios">{"".join(parts)}</svg>'


def _row(one: Comparison) -> str:
    state = {True: "met", False: "missed", None: ""}[one.met]
    theirs = "" if one.theirs is None else f"{one.theirs:,.0f}"
    ratio = "" if one.ratio is None else f"{one.ratio:.2f}"
    goal = "" if one.goal is None else f"{one.goal:.2f} {state}"
    form = one.our_form if one.same else f"{one.our_form}, labels differ"
    return (
        f'<tr><td>{escape(one.model)}</td><td class="t">{escape(one.core)}</td><td class="t">{one.what}</td>'
        f'<td>{one.ours:,.0f}</td><td class="t">{escape(form)}</td><td>{theirs}</td>'
        f'<td class="t">{escape(one.their_form)}</td><td>{ratio}</td><td class="{state}">{goal}</td></tr>'
    )


def _figures_row(one: Figures) -> str:
    cells = (
        f"{one.flash_bytes:,}", str(one.ram_bytes), str(one.stack_bytes), f"{one.mean:,.0f}", f"{one.most:,}",
        "" if one.agree is None else f"{one.agree:.2%}", "" if one.edge is None else f"{one.edge:.2%}",
        "" if one.error is None else f"{one.error:.2g}",
    )  # fmt: skip
    start = f'<tr><td>{escape(one.model)}</td><td class="t">{escape(one.core)}</td>'
    numbers = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'{start}<td class="t">{escape(f"{one.tool} {one.form}")}</td>{numbers}</tr>'
