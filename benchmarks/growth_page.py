"""How code of forests grows, as charts: figures for one tree over the number of trees, a line for each goal and depth.

Knows figures of growth by their names; judges and measures nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, StrictUndefined

COLOURS: Mapping[str, str] = {"tables": "#6e7781", "size": "#0969da", "mean": "#2da44e", "wcet": "#cf222e"}
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 420, 300, 62, 34, 12, 16
_MIB = 1024 * 1024


@dataclass(frozen=True)
class Chart:
    """A figure of a form, None where there is none."""

    title: str
    value: Callable[[Any], float | None]


def _bound(one: Any) -> float | None:
    if one.bound is None or one.bound.instructions is None:
        return None
    return float(one.bound.instructions) / float(one.n_trees)


CHARTS = (
    Chart("flash bytes for one split", lambda one: one.flash_bytes / max(1, one.n_splits)),
    Chart("mean instructions for one tree", lambda one: one.mean / one.n_trees),
    Chart("instructions at most for one tree", _bound),
    Chart("largest function, bytes", lambda one: float(one.largest_bytes)),
    Chart("generator, seconds", lambda one: one.generator_seconds),
    Chart("generator, peak MB", lambda one: one.generator_bytes / _MIB),
    Chart("C compiler, seconds", lambda one: one.compiler_seconds),
    Chart("C compiler, peak MB", lambda one: one.compiler_bytes / _MIB),
)


def html_page(core: str, grown: Sequence[Any], lines: Sequence[str]) -> str:
    """A page of its own; nothing from elsewhere."""
    there = [one for one in grown if not one.why]
    kinds = tuple(dict.fromkeys(one.kind for one in there))
    depths = sorted({one.depth for one in there})
    panels = []
    for kind in kinds:
        chosen = [one for one in there if one.kind == kind]
        panels.append({"kind": kind, "charts": [_drawn(chart, chosen, depths) for chart in CHARTS]})
    rows = [_row(one) for one in grown]
    return _ENVIRONMENT.from_string(_PAGE).render(
        core=core, panels=panels, rows=rows, lines=lines, colours=COLOURS, depths=", ".join(map(str, depths)),
        width=_WIDTH, height=_HEIGHT, left=_LEFT, bottom=_HEIGHT - _BOTTOM, right=_WIDTH - _RIGHT, top=_TOP,
    )  # fmt: skip


def _drawn(chart: Chart, grown: Sequence[Any], depths: Sequence[int]) -> dict[str, object]:
    """Points of both axes in logarithms, their ticks powers of ten."""
    points = [(one, value) for one in grown if (value := chart.value(one)) is not None and value > 0]
    xs = [math.log10(one.n_trees) for one, _ in points] or [0.0]
    ys = [math.log10(value) for _, value in points] or [0.0]
    x_end = max(max(xs), 0.5)
    low, high = math.floor(min(ys)), max(math.floor(min(ys)) + 1, math.ceil(max(ys)))

    def x_at(trees: float) -> float:
        return round(_LEFT + math.log10(trees) / x_end * (_WIDTH - _LEFT - _RIGHT), 1)

    def y_at(value: float) -> float:
        return round(_HEIGHT - _BOTTOM - (math.log10(value) - low) / (high - low) * (_HEIGHT - _BOTTOM - _TOP), 1)

    lines = []
    for key in dict.fromkeys((one.depth, one.form) for one, _ in points):
        chosen = sorted(((one, v) for one, v in points if (one.depth, one.form) == key), key=lambda p: p[0].n_trees)
        share = (depths.index(key[0]) + 1) / len(depths)
        lines.append(
            {
                "points": [{"x": x_at(one.n_trees), "y": y_at(value)} for one, value in chosen],
                "colour": COLOURS[key[1]], "width": round(0.8 + 1.8 * share, 1), "title": f"{key[1]}, depth {key[0]}",
            }
        )  # fmt: skip
    return {
        "title": chart.title, "lines": lines,
        "x_ticks": [{"at": x_at(10.0**n), "text": f"{10**n:,}"} for n in range(math.floor(x_end) + 1)],
        "y_ticks": [{"at": y_at(10.0**n), "text": f"{10.0**n:,.10g}"} for n in range(low, high + 1)],
    }  # fmt: skip


def _row(one: Any) -> tuple[str, ...]:
    start = (one.kind, one.form, str(one.depth), f"{one.n_trees:,}", f"{one.n_splits:,}")
    made = (f"{one.generator_seconds:.2f}", f"{one.generator_bytes / _MIB:.0f}")
    if one.why:
        return (*start, one.why, "", "", "", "", "", *made, "", "")
    bound = _bound(one)
    return (
        *start, f"{one.flash_bytes:,}", f"{one.mean:,.0f}", f"{one.most:,}",
        "none" if bound is None else f"{one.bound.instructions:,}", str(one.stack_bytes), f"{one.largest_bytes:,}",
        *made, f"{one.compiler_seconds:.1f}", f"{one.compiler_bytes / _MIB:.0f}",
    )  # fmt: skip


_ENVIRONMENT = Environment(undefined=StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True)
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>How code of forests grows</title>
<style>
body{font:15px/1.5 system-ui,sans-serif;max-width:84rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}
section{display:grid;grid-template-columns:repeat(auto-fill,minmax(24rem,1fr));gap:1rem}
figure{margin:0}figcaption{font-weight:600}svg{width:100%}svg text{font:11px system-ui,sans-serif;fill:#1b1f24}
table{border-collapse:collapse;font-size:13px}
th,td{padding:.2rem .5rem;border-bottom:1px solid #d8dee4;text-align:right}
div{overflow-x:auto}i{display:inline-block;width:1.6em;height:.3em;margin:0 .4em;vertical-align:middle}
</style>
<h1>How code of forests grows, {{ core }}</h1>
<p>Both axes are logarithms; trees from left to right. Thicker lines are deeper trees, of depths {{ depths }}.
{% for name, colour in colours.items() %}<i style="background:{{ colour }}"></i>{{ name }}{% endfor %}</p>
<ul>
{% for line in lines %}
<li>{{ line }}</li>
{% endfor %}
</ul>
{% for panel in panels %}
<h2>{{ panel.kind }} trees</h2>
<section>
{% for chart in panel.charts %}
<figure>
<figcaption>{{ chart.title }}</figcaption>
<svg viewBox="0 0 {{ width }} {{ height }}" role="img" aria-label="{{ chart.title }}">
{% for tick in chart.y_ticks %}
<path d="M{{ left }} {{ tick.at }}H{{ right }}" stroke="#d8dee4"/>
<text x="{{ left }}" y="{{ tick.at }}" dx="-6" dy="4" text-anchor="end">{{ tick.text }}</text>
{% endfor %}
{% for tick in chart.x_ticks %}
<path d="M{{ tick.at }} {{ top }}V{{ bottom }}" stroke="#eaeef2"/>
<text x="{{ tick.at }}" y="{{ bottom }}" dy="18" text-anchor="middle">{{ tick.text }}</text>
{% endfor %}
{% for line in chart.lines %}
<polyline fill="none" stroke="{{ line.colour }}" stroke-width="{{ line.width }}"
 points="{% for point in line.points %}{{ point.x }},{{ point.y }} {% endfor %}">
<title>{{ line.title }}</title></polyline>
{% for point in line.points %}
<circle cx="{{ point.x }}" cy="{{ point.y }}" r="2" fill="{{ line.colour }}"/>
{% endfor %}
{% endfor %}
</svg>
</figure>
{% endfor %}
</section>
{% endfor %}
<h2>Every form</h2>
<div><table>
<tr><th>trees are</th><th>form</th><th>depth</th><th>trees</th><th>splits</th><th>flash</th><th>mean</th><th>most</th>
<th>at most</th><th>stack</th><th>largest function</th><th>generator s</th><th>MB</th><th>compiler s</th><th>MB</th>
</tr>
{% for row in rows %}
<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</table></div>
</html>
"""
