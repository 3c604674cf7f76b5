"""The report document as one self-contained HTML page, and as a C header with the constants.

Knows Jinja and where bars stand in a picture; every number comes from the document.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jinja2

from aprgen import spell
from aprgen.resources import folder

PICTURE_WIDTH, PICTURE_HEIGHT = 640, 150
_LEAST_HEIGHT = 2.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 10, 20, 22, 28


@dataclass(frozen=True)
class Rectangle:
    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass(frozen=True)
class Picture:
    """The distribution of observed runs, with the bound at its right."""

    width: int
    height: int
    base: float
    bars: tuple[Rectangle, ...]
    bound_x: float
    high_x: float
    low: int
    bound: int
    high: int


def picture(bound: int, observed: Mapping[str, object], unit: str = "cycles") -> Picture:
    """From the cheapest run to the bound, on one linear scale."""
    bars = observed["distribution"]
    low, high = observed["high_minimum"], observed["high_maximum"]
    assert isinstance(bars, list)
    assert isinstance(low, int)
    assert isinstance(high, int)
    right = max(bound, high)
    span = max(1, right - low)
    room = PICTURE_WIDTH - _LEFT - _RIGHT
    base = PICTURE_HEIGHT - _BOTTOM

    def x(cycles: float) -> float:
        return round(_LEFT + room * (cycles - low) / span, 1)

    tallest = max((bar["runs"] for bar in bars), default=1) or 1
    rectangles = []
    for bar in bars:
        height = round((base - _TOP) * bar["runs"] / tallest, 1)
        if bar["runs"]:
            height = max(_LEAST_HEIGHT, height)  # a single run is seen among thousands
        width = max(2.0, round(x(bar["high"]) - x(bar["low"]) - 1, 1))
        title = f"{bar['low']:,} to {bar['high']:,} {unit}: {bar['runs']:,} runs"
        rectangles.append(Rectangle(x(bar["low"]), round(base - height, 1), width, height, title))
    return Picture(
        PICTURE_WIDTH, PICTURE_HEIGHT, base, tuple(rectangles), x(bound), x(high), low, bound, high
    )  # fmt: skip


def _picture_of(entry: Mapping[str, Any]) -> Picture:
    if entry["counts"]:
        return picture(entry["counts"][0]["at_most"], entry["observed"], "instructions")
    return picture(entry["cycles"], entry["observed"])


def html(document: Mapping[str, object]) -> str:
    """The page; `document` is what JSON gives back, so that page and file cannot differ."""
    entries = document["entries"]
    assert isinstance(entries, list)
    pictures = {
        entry["function"]: _picture_of(entry)
        for entry in entries
        if entry["observed"] is not None and entry["status"] != "refused"
    }
    template = environment(True).get_template("wcet.html.j2")
    return template.render(report=document, pictures=pictures)


def header(document: Mapping[str, object]) -> str:
    """NAME_wcet.h. Only for a document whose verdict is no refusal."""
    identity = document["identity"]
    assert isinstance(identity, dict)
    template = environment(False).get_template("wcet.h.j2")
    return template.render(report=document, macro=identity["name"].upper(), comment=spell.comment)


@functools.cache
def environment(escape: bool) -> jinja2.Environment:
    """For all templates of reports; escape: for HTML."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([str(folder("templates") / "report")]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=escape,
        auto_reload=False,
    )
    environment.filters["whole"] = lambda value: f"{value:,}"
    environment.filters["two"] = lambda value: f"{value:,.2f}"
    environment.filters["percent"] = lambda value: f"{100 * value:.1f} %"
    environment.filters["hex8"] = lambda value: f"{value:#010x}"
    return environment
