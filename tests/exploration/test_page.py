"""The page of an exploration: complete, self-contained, and with every point and number where it can be read."""

from __future__ import annotations

import itertools
import re
from xml.etree import ElementTree

from aprgen.exploration_page import chart, charts_of, html


def choice(numeric: str, optimise: str | None, flash: int, mean: float, loss: float = 0.0) -> dict[str, object]:
    return {
        "numeric": numeric, "optimise": optimise, "same_code": [], "kernels": [], "flash_bytes": flash,
        "variable_bytes": 0, "stack_bytes": 40, "stack_is_bound": True, "ram_bytes": 40,
        "executed": {"mean": mean, "most": int(mean) + 9, "unit": "instructions"},
        "bound": {"scores": int(mean) + 20, "scores_of_codes": None, "most": int(mean) + 90, "unit": "cycles"},
        "no_bound": None, "loss": loss, "accuracy": None, "on_front": flash < 3000,
    }  # fmt: skip


DOCUMENT = {
    "schema": "aprgen.explore/1", "name": "a<b", "target": "cortex-m4", "family": "f", "rows": "9 rows",
    "choices": [
        choice("f32", "size", 1000, 900.5), choice("f32", None, 1004, 890.0), choice("s8", None, 2000, 300.0, 0.025),
        choice("f32", "branches", 3000, 450.0),
    ],
    "refused": [{"numeric": "s16", "optimise": None, "code": "numeric.loss", "what": "loses 3 %"}],
    "notes": [],
}  # fmt: skip


def test_the_page_needs_nothing_else() -> None:
    """No script, no address, no file beside it; names are escaped."""
    page = html(DOCUMENT)

    assert re.findall(r"<script|https?:|src=|<link|url\(", page) == []
    assert "a&lt;b" in page
    assert "a<b" not in page


def test_the_page_says_every_choice_and_refusal() -> None:
    """Each row has its figures; what was refused stands below with its reason."""
    page = html(DOCUMENT)

    assert all(number in page for number in ("1,000", "900.50", "2.50 %", "--numeric f32 --optimise branches"))
    assert "loses 3 %" in page


def test_charts_are_pictures() -> None:
    """Three charts, each well-formed, with a circle and a number for every choice."""
    pictures = [ElementTree.fromstring(one) for one in re.findall(r"<svg.*?</svg>", html(DOCUMENT), re.S)]

    assert len(pictures) == 3
    for picture in pictures:
        assert len(picture.findall("circle")) == 4
        assert [text.text for text in picture.findall("text") if text.get("class") == "number"] == ["1", "2", "3", "4"]


def test_a_figure_that_some_lack_has_no_chart() -> None:
    """Points without a bound would be lies, so the chart of bounds is left out."""
    some = {**DOCUMENT, "choices": [{**DOCUMENT["choices"][0], "bound": None}, DOCUMENT["choices"][1]]}  # type: ignore[dict-item,index]

    assert [one.title for one in charts_of(some)] == ["Flash and mean work"]


def test_points_lie_inside_in_order() -> None:
    """More flash is further right, more work higher up; numbers keep apart."""
    (first, *_) = charts_of(DOCUMENT)
    points = first.points

    assert [point.x for point in points] == sorted(point.x for point in points)
    assert points[0].y < points[1].y < points[3].y < points[2].y
    assert all(first.left < point.x < first.right and first.top < point.y < first.base for point in points)
    for one, other in itertools.combinations(points, 2):
        assert abs(one.label_x - other.label_x) > 14 or abs(one.label_y - other.label_y) > 10


def test_the_line_goes_through_the_best() -> None:
    """It steps from each point that is cheaper than all smaller ones to the next, and leaves the others out."""
    made = chart("t", "x", "y", [(1, 9), (2, 5), (3, 7), (4, 1)], [("f32", "a", True)] * 4)
    corners = {tuple(map(float, pair.split(","))) for pair in made.line.split()}
    on_line = [(point.x, point.y) in corners for point in made.points]

    assert on_line == [True, True, False, True]


def test_axes_of_one_point_and_of_wide_ranges() -> None:
    """One point has room around it; values far apart stand on a logarithmic axis with round numbers."""
    alone = chart("t", "x", "y", [(5, 0)], [("f32", "a", True)])
    wide = chart("t", "x", "y", [(10, 1), (10_000, 2)], [("f32", "a", True)] * 2)

    assert alone.left < alone.points[0].x < alone.right
    assert {"10", "100", "1,000", "10,000"} <= {tick.text for tick in wide.x_ticks}
    assert all(wide.left <= tick.at <= wide.right for tick in wide.x_ticks)
