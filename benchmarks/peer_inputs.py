"""Which figures of trees are compared: those of functions that take what the other generator's function takes.

Knows models by name and generators by what they take; knows no ratios.
"""

from __future__ import annotations

from collections.abc import Sequence

from peer_figures import Figures

OF_TREES = ("rf_digits", "rf_iris", "gb_bc", "lgb_bc", "xgb_bc")
OF_CODES = " of codes"  # ends the form of a function that takes integers


def takes_integers(one: Figures) -> bool:
    """Whether a row is integers: no function of the other has to make anything of floats."""
    return one.form.endswith(OF_CODES) if one.tool == "aprgen" else "int16" in one.tool


def fair(figures: Sequence[Figures]) -> list[Figures]:
    """Without the forms of codes of trees where no other generator takes integers.

    Of other models forms of codes count: their integers are a way of computing, not of reading.
    """
    integers = {(one.model, one.core) for one in figures if one.tool != "aprgen" and takes_integers(one)}
    return [
        one
        for one in figures
        if one.model not in OF_TREES or one.tool != "aprgen" or not takes_integers(one)
        or (one.model, one.core) in integers
    ]  # fmt: skip
