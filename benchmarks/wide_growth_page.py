"""How models on a wide target grow, as charts: a chart for each line and figure, both axes logarithms.

Knows figures by their names; judges and measures nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from jinja2 import Environment, StrictUndefined

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 420, 260, 70, 34, 12, 16
_FIGURES: tuple[tuple[str, Callable[[Any], float]], ...] = (
    ("ns a row", lambda one: one.ns),
    ("stack, bytes", lambda one: one.stack_bytes),
    ("C, bytes", lambda one: one.c_bytes),
    ("generator and compiler, seconds", lambda one: one.generator_seconds + one.compiler_seconds),
)


def html_page(target: str, figures: Sequence[Any], lines: Sequence[str]) -> str:
    """A page of its own; nothing from elsewhere."""
    panels = []
    for name in dict.fromkeys(one.line for one in figures):
        own = [one for one in figures if one.line == name]
        of_call = len({one.rows for one in own}) > 1  # one model: only its time grows
        panels.append({"line": name, "charts": [_drawn(own, *each) for each in _FIGURES[: 1 if of_call else None]]})
    rows = [
        (
            one.line, f"{one.x:,}", " ".join(one.forms) or "row by row", f"{one.ns:,.2f}", f"{one.stack_bytes:,}",
            f"{one.table_bytes:,}", f"{one.c_bytes:,}", f"{one.generator_seconds:.2f}", f"{one.compiler_seconds:.2f}",
        )
        for one in figures
    ]  # fmt: skip
    return _ENVIRONMENT.from_string(_PAGE).render(
        target=target, panels=panels, rows=rows, lines=lines, width=_WIDTH, height=_HEIGHT, left=_LEFT,
        bottom=_HEIGHT - _BOTTOM, right=_WIDTH - _RIGHT, top=_TOP,
    )  # fmt: skip


def _drawn(own: Sequence[Any], title: str, value: Callable[[Any], float]) -> dict[str, object]:
    """Ticks are powers of ten; a point's title says which strategy it has."""
    there = [(one, value(one)) for one in own if value(one) > 0]
    xs = [math.log10(one.x) for one, _ in there] or [0.0]
    ys = [math.log10(y) for _, y in there] or [0.0]
    left, right = min(xs), max(max(xs), min(xs) + 0.1)
    low, high = math.floor(min(ys)), max(math.floor(min(ys)) + 1, math.ceil(max(ys)))

    def x_at(x: float) -> float:
        return round(_LEFT + (math.log10(x) - left) / (right - left) * (_WIDTH - _LEFT - _RIGHT), 1)

    def y_at(y: float) -> float:
        return round(_HEIGHT - _BOTTOM - (math.log10(y) - low) / (high - low) * (_HEIGHT - _BOTTOM - _TOP), 1)

    ends = sorted({own[0].x, own[-1].x, *(10**n for n in range(math.ceil(left), math.floor(right) + 1))})
    return {
        "title": title,
        "points": [
            {"x": x_at(one.x), "y": y_at(y), "title": f"{one.x:,}: {' '.join(one.forms) or 'row by row'}, {y:,.4g}"}
            for one, y in there
        ],
        "x_ticks": [{"at": x_at(x), "text": f"{x:,}"} for x in ends],
        "y_ticks": [{"at": y_at(10.0**n), "text": f"{10.0**n:,.10g}"} for n in range(low, high + 1)],
    }


_ENVIRONMENT = Environment(undefined=StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True)
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>How models on a wide target grow</title>
<style>
body{font:15px/1.5 system-ui,sans-serif;max-width:84rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}
section{display:grid;grid-template-columns:repeat(auto-fill,minmax(24rem,1fr));gap:1rem}
figure{margin:0}figcaption{font-weight:600}svg{width:100%}svg text{font:11px system-ui,sans-serif;fill:#1b1f24}
table{border-collapse:collapse;font-size:13px}
th,td{padding:.2rem .5rem;border-bottom:1px solid #d8dee4;text-align:right}
div{overflow-x:auto}
</style>
<h1>How models on {{ target }} grow</h1>
<ul>
{% for line in lines %}
<li>{{ line }}</li>
{% else %}
<li>no cliff</li>
{% endfor %}
</ul>
{% for panel in panels %}
<h2>{{ panel.line }}</h2>
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
<polyline fill="none" stroke="#0969da" stroke-width="1.5"
 points="{% for point in chart.points %}{{ point.x }},{{ point.y }} {% endfor %}"></polyline>
{% for point in chart.points %}
<circle cx="{{ point.x }}" cy="{{ point.y }}" r="3" fill="#0969da"><title>{{ point.title }}</title></circle>
{% endfor %}
</svg>
</figure>
{% endfor %}
</section>
{% endfor %}
<h2>Every point</h2>
<div><table>
<tr><th>line</th><th></th><th>strategy</th><th>ns a row</th><th>stack</th><th>tables</th><th>C</th><th>generator s</th>
<th>compiler s</th></tr>
{% for row in rows %}
<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</table></div>
</html>
"""
