"""The document of `aprgen explore` as one self-contained HTML page, with charts that say what more speed costs.

Knows where points, ticks and labels stand in a picture; every number comes from the document.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aprgen.wcet.page import environment

WIDTH, HEIGHT = 640, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 30, 16, 44
_LABEL_WIDTH, _LABEL_HEIGHT = 17.0, 13.0
_MARGIN = 0.06  # of an axis, beyond the outermost points
_LOG_FROM = 20.0  # largest by smallest value
# From a point to its number: below and left first, where the line of steps never runs.
_PLACES = ((-18, 16), (-8, 19), (-26, 4), (9, -9), (9, 4), (-8, -8), (9, 17), (-26, -9), (9, 30), (9, -22))


@dataclass(frozen=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True)
class Point:
    """number: the row of the table; label: where its number stands."""

    x: float
    y: float
    number: int
    label_x: float
    label_y: float
    numeric: str
    on_front: bool
    title: str


@dataclass(frozen=True)
class Chart:
    """line: corners of the steps between points that nothing beats in both figures, as SVG has it."""

    title: str
    x_title: str
    y_title: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    points: tuple[Point, ...]
    line: str
    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    top: int = _TOP
    base: int = HEIGHT - _BOTTOM
    middle_x: int = (_LEFT + WIDTH - _RIGHT) // 2
    middle_y: int = (_TOP + HEIGHT - _BOTTOM) // 2
    width: int = WIDTH
    height: int = HEIGHT


@dataclass(frozen=True)
class _Axis:
    """From values to places; a logarithm where values are far apart."""

    low: float
    high: float
    is_log: bool
    start: float
    end: float

    def at(self, value: float) -> float:
        low, high, here = (math.log(v) if self.is_log else v for v in (self.low, self.high, value))
        return round(self.start + (self.end - self.start) * (here - low) / (high - low), 1)

    def ticks(self) -> tuple[Tick, ...]:
        return tuple(Tick(self.at(value), f"{value:,.6g}") for value in _round_values(self.low, self.high, self.is_log))


def _axis(values: Sequence[float], start: float, end: float) -> _Axis:
    low, high = min(values), max(values)
    if low > 0 and high / low > _LOG_FROM:
        room = (high / low) ** _MARGIN
        return _Axis(low / room, high * room, True, start, end)
    room = _MARGIN * (high - low) or max(1.0, abs(high) / 2)
    return _Axis(max(0.0, low - room) if low >= 0 else low - room, high + room, False, start, end)


def _round_values(low: float, high: float, is_log: bool) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten: about five."""
    if is_log:
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        return [m * 10.0**p for p in powers for m in (1, 2, 5) if low <= m * 10.0**p <= high]
    step = next(
        m * 10.0**p
        for p in range(math.floor(math.log10(high - low)) - 2, 20)
        for m in (1, 2, 5)
        if (high - low) / (m * 10.0**p) <= 6
    )
    return [n * step for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def chart(
    title: str,
    x_title: str,
    y_title: str,
    places: Sequence[tuple[float, float]],
    names: Sequence[tuple[str, str, bool]],
) -> Chart:
    """places: a point for each row of the table. names: its numeric mode, its words, whether it is on the front."""
    xs = _axis([x for x, _ in places], _LEFT, WIDTH - _RIGHT)
    ys = _axis([y for _, y in places], HEIGHT - _BOTTOM, _TOP)
    dots = [(xs.at(x), ys.at(y)) for x, y in places]
    labels: list[tuple[float, float]] = []
    points = []
    for number, ((x, y), (value_x, value_y), (numeric, words, on_front)) in enumerate(
        zip(dots, places, names, strict=True), 1
    ):
        label = _free_place(x, y, dots, labels)
        labels.append(label)
        shown = f"{number}: {words}, {value_x:,.0f} {x_title}, {value_y:,.1f} {y_title}"
        points.append(Point(x, y, number, *label, numeric, on_front, shown))
    return Chart(title, x_title, y_title, xs.ticks(), ys.ticks(), tuple(points), _steps(places, xs, ys))


def _free_place(
    x: float, y: float, dots: Sequence[tuple[float, float]], labels: Sequence[tuple[float, float]]
) -> tuple[float, float]:
    """Beside the point, where no other label and no dot is; the first place when all are taken."""
    for right, down in _PLACES:
        place = round(x + right, 1), round(y + down, 1)
        inside = _LEFT < place[0] < WIDTH - _RIGHT - 2 and _TOP + 8 < place[1] < HEIGHT - _BOTTOM - 2
        clear = all(abs(place[0] - a) > _LABEL_WIDTH or abs(place[1] - b) > _LABEL_HEIGHT for a, b in labels)
        open_dots = all(
            not (place[0] - 5 < a < place[0] + _LABEL_WIDTH and place[1] - _LABEL_HEIGHT < b < place[1] + 4)
            for a, b in dots
        )
        if inside and clear and open_dots:
            return place
    return round(x + _PLACES[0][0], 1), round(y + _PLACES[0][1], 1)


def _steps(places: Sequence[tuple[float, float]], xs: _Axis, ys: _Axis) -> str:
    """Down and to the right: what a budget in x buys at best in y."""
    best: list[tuple[float, float]] = []
    for x, y in sorted(set(places)):
        if not best or y < best[-1][1]:
            best.append((x, y))
    corners: list[tuple[float, float]] = []
    for x, y in best:
        if corners:
            corners.append((xs.at(x), corners[-1][1]))
        corners.append((xs.at(x), ys.at(y)))
    corners.append((float(WIDTH - _RIGHT), corners[-1][1]))
    return " ".join(f"{x:g},{y:g}" for x, y in corners)


def charts_of(document: Mapping[str, Any]) -> tuple[Chart, ...]:
    """Flash beside mean and worst figures and the stack, as far as every choice has them and they differ."""
    choices = document["choices"]
    names = [(one["numeric"], _words(one), one["on_front"]) for one in choices]
    flash = [float(one["flash_bytes"]) for one in choices]
    found = []
    if all(one["executed"] is not None for one in choices):
        unit = choices[0]["executed"]["unit"]
        means = [float(one["executed"]["mean"]) for one in choices]
        found.append(("Flash and mean work", f"{unit} a row, mean", means))
    if all(one["bound"] is not None and one["bound"]["scores"] is not None for one in choices):
        unit = choices[0]["bound"]["unit"]
        worst = [float(one["bound"]["scores"]) for one in choices]
        found.append(("Flash and worst case", f"{unit} of any row, at most", worst))
    if any(one["loss"] for one in choices):
        found.append(("Flash and loss", "% lost against f32", [100 * float(one["loss"]) for one in choices]))
    return tuple(
        chart(title, "bytes of flash", y_title, list(zip(flash, values, strict=True)), names)
        for title, y_title, values in found
    )


def _words(one: Mapping[str, Any]) -> str:
    return str(one["numeric"] if one["optimise"] is None else f"{one['numeric']} --optimise {one['optimise']}")


def html(document: Mapping[str, Any]) -> str:
    """The page; `document` is what JSON gives back, so that page and file cannot differ."""
    template = environment(True).get_template("explore.html.j2")
    rows = [(number, _words(one), one) for number, one in enumerate(document["choices"], 1)]
    of_codes = any(one["bound"] is not None and one["bound"]["scores_of_codes"] is not None for _, _, one in rows)
    modes = list(dict.fromkeys(one["numeric"] for _, _, one in rows))
    return template.render(
        report=document, rows=rows, charts=charts_of(document), of_codes=of_codes, modes=modes
    )  # fmt: skip
