"""What is wanted of aprgen beside other generators, in one table, and which of it is met.

Knows figures, the goal of every model and core, and the figures of generators that no package index has; measures
nothing and draws nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from peer_figures import Figures

SAME = 0.98  # of the labels; a generator's form that agrees less is not compared
LOSS = {"mlp_digits": 0.005, "mlp_wide": 0.005}  # of the labels that aprgen's forms may change; else none
CLOSE = 0.05  # of the largest value: a form with a larger error is not compared
INSTRUCTIONS, FLASH = "instructions", "flash"


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
    """At most these shares of the best other generator's figures; None: no goal.

    instructions: of the fastest form to the fastest other. flash: of the smallest form to the smallest other.
    flash_of_faster: of the flash to the fastest other's; one form is to be both, so here the smallest of those that are
    faster than every other stands for the fastest. instructions_of_smallest: of the smallest form's instructions to the
    smallest other's. A share of 1 stands for fewer.
    """

    instructions: float | None = None
    flash: float | None = None
    flash_of_faster: float | None = None
    instructions_of_smallest: float | None = None


_M4, _M0, _M55 = "cortex-m4", "cortex-m0plus", "cortex-m55"
_BOTH = (_M4, _M0)
_BOOSTED = {_M4: Goal(0.7, 0.5), _M0: Goal(0.12)}
_DENSE = {_M4: Goal(0.7), _M0: Goal(0.1)}
_NETWORK = {_M4: Goal(0.7, 0.7), _M0: Goal(0.75, 0.75)}
GOALS: Mapping[str, Mapping[str, Goal]] = {
    "rf_digits": dict.fromkeys(_BOTH, Goal(1.0, 0.75, flash_of_faster=0.7, instructions_of_smallest=1.0)),
    "rf_iris": dict.fromkeys(_BOTH, Goal(0.8, 0.8)),
    "gb_bc": _BOOSTED, "lgb_bc": _BOOSTED, "xgb_bc": _BOOSTED,
    "mlp_digits": _NETWORK, "mlp_wide": _NETWORK,
    "logreg_bc": _DENSE, "linreg_diabetes": _DENSE, "svc_digits": _DENSE,
    "pca_digits": dict.fromkeys(_BOTH, Goal(0.02)),
    "gnb_wine": dict.fromkeys(_BOTH, Goal(0.4)),
    "knn_iris": dict.fromkeys(_BOTH, Goal(0.4)),
}  # fmt: skip
VECTORS = {"mlp_digits": 1 / 3, "mlp_wide": 1 / 3}  # of Cortex-M4's instructions on Cortex-M55, at most
STACK_BYTES = 128  # of trees and linear models, at most
SMALL_STACKS = (
    "rf_digits", "rf_iris", "gb_bc", "lgb_bc", "xgb_bc", "logreg_bc", "linreg_diabetes", "svc_digits", "pca_digits"
)  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """aprgen's best figure of one kind beside the best of the others. ratio: None where there is no other.

    mine: all figures of that form. their_instructions, their_flash: of the other's form, None where unknown.
    """

    model: str
    core: str
    what: str  # INSTRUCTIONS or FLASH
    ours: float
    our_form: str
    theirs: float | None
    their_form: str
    ratio: float | None
    goal: float | None
    same: bool  # labels are the library's, on rows at thresholds too
    mine: Figures
    their_instructions: float | None = None
    their_flash: float | None = None

    @property
    def met(self) -> bool | None:
        """None where there is nothing to meet."""
        return None if self.ratio is None or self.goal is None else self.same and within(self.ratio, self.goal)

    @property
    def line(self) -> str:
        """A row of the table that is printed."""
        ours = f"{self.ours:10,.0f} {self.our_form + ('' if self.same else ', labels differ'):24}"
        start = f"{self.model:16} {self.core:13} {self.what:12} {ours}"
        if self.theirs is None or self.ratio is None:
            return start
        goal = "" if self.goal is None else f" goal {self.goal:.2f} {'met' if self.met else 'MISSED'}"
        return f"{start} {self.theirs:10,.0f} {self.their_form:34} ratio {self.ratio:.2f}{goal}"


def within(share: float, limit: float) -> bool:
    """A limit of 1 asks for less than the other's."""
    return share < 1 if limit == 1 else share <= limit


def compared(figures: Sequence[Figures]) -> tuple[Comparison, ...]:
    """Per model and core the fewest instructions (see Goal) and the least flash, of forms whose answers are the
    library's."""
    found: list[Comparison] = []
    for model, core in dict.fromkeys((one.model, one.core) for one in figures):
        here = [one for one in figures if (one.model, one.core) == (model, core) and _answers(one)]
        goal = GOALS.get(model, {}).get(core, Goal())
        close = [one for one in here if one.tool == "aprgen"]
        ours = [one for one in close if has_same_labels(one)] or close
        others = [_Other(f"{one.tool} {one.form}", one.mean, one.flash_bytes) for one in here if one.tool != "aprgen"]
        others += [
            _Other(f"{one.tool}, recorded", one.instructions or None, one.flash_bytes or None)
            for one in RECORDED.get((model, core), ())
        ]
        if not ours:
            continue
        for what, wanted in ((INSTRUCTIONS, goal.instructions), (FLASH, goal.flash)):
            mine = min(ours, key=lambda one: _order(what, one.mean, one.flash_bytes))
            best = min(
                (one for one in others if one.figure(what) is not None),
                key=lambda one: _order(what, one.mean or 0.0, one.flash_bytes or 0), default=None,
            )  # fmt: skip
            if what == INSTRUCTIONS and goal.flash_of_faster is not None and best is not None:
                faster = [one for one in ours if one.mean < (best.mean or 0.0)]
                mine = min(faster, key=lambda one: _order(FLASH, one.mean, one.flash_bytes), default=mine)
            value = mine.mean if what == INSTRUCTIONS else float(mine.flash_bytes)
            theirs = None if best is None else best.figure(what)
            found.append(
                Comparison(
                    model, core, what, value, mine.form, theirs, "" if best is None else best.form,
                    None if theirs is None else value / theirs, wanted, has_same_labels(mine), mine,
                    None if best is None else best.mean, None if best is None else best.flash_bytes,
                )
            )  # fmt: skip
    return tuple(found)


@dataclass(frozen=True)
class _Other:
    """A form of another generator; None where a figure is not known."""

    form: str
    mean: float | None
    flash_bytes: int | None

    def figure(self, what: str) -> float | None:
        found = self.mean if what == INSTRUCTIONS else self.flash_bytes
        return None if found is None else float(found)


def _order(what: str, mean: float, flash_bytes: int) -> tuple[float, float]:
    """Of equals, the one that is better in the other figure."""
    return (mean, flash_bytes) if what == INSTRUCTIONS else (flash_bytes, mean)


def _answers(one: Figures) -> bool:
    """Whether a form is compared: most labels are the library's, or its values are close."""
    if one.exact is False:
        return False
    return one.agree >= SAME if one.agree is not None else (one.error or 0.0) <= CLOSE * one.largest


def has_same_labels(one: Figures) -> bool:
    """Whether a form of aprgen's answers as the library does, but for what is allowed."""
    return one.agree is None or (one.agree >= 1 - LOSS.get(one.model, 0.0) and one.edge in (None, 1.0))


@dataclass(frozen=True)
class Verdict:
    """One goal. met: None where there is nothing to compare with."""

    model: str
    core: str
    quantity: str
    found: float | None
    limit: float
    met: bool | None
    words: str  # figures and forms

    @property
    def state(self) -> str:
        return {True: "met", False: "MISSED", None: "nothing to compare"}[self.met]

    @property
    def line(self) -> str:
        """A row of the table that is printed."""
        found = "" if self.found is None else f"{self.found:,.4g}"
        return (
            f"{self.model:16} {self.core:13} {self.quantity:30} {found:>9} goal {self.limit:<8,.4g} "
            f"{self.state:18} {self.words}"
        )


def verdicts(comparisons: Sequence[Comparison]) -> tuple[Verdict, ...]:
    """Every goal of the models and cores that were compared."""
    found: list[Verdict] = []
    for model, core in dict.fromkeys((one.model, one.core) for one in comparisons):
        fast, small = (one for one in comparisons if (one.model, one.core) == (model, core))
        found += [*_of_ratios(fast, small), *_of_forms(fast, small)]
    fastest = {(one.model, one.core): one for one in comparisons if one.what == INSTRUCTIONS}
    found += [
        _vectors(fastest[model, _M55], fastest[model, _M4], limit)
        for model, limit in VECTORS.items()
        if (model, _M55) in fastest and (model, _M4) in fastest
    ]
    return tuple(found)


def _of_ratios(fast: Comparison, small: Comparison) -> Iterator[Verdict]:
    """Beside the best other generator."""
    goal = GOALS.get(fast.model, {}).get(fast.core, Goal())
    wanted = (
        ("instructions", goal.instructions, fast, fast.ours, fast.theirs),
        ("flash of the faster form", goal.flash_of_faster, fast, fast.mine.flash_bytes, fast.their_flash),
        ("flash", goal.flash, small, small.ours, small.theirs),
        (
            "instructions of the smallest form", goal.instructions_of_smallest, small, small.mine.mean,
            small.their_instructions,
        ),
    )  # fmt: skip
    for quantity, limit, one, ours, theirs in wanted:
        if limit is None:
            continue
        if theirs is None:
            yield Verdict(one.model, one.core, quantity, None, limit, None, f"{ours:,.0f} by {one.our_form}")
            continue
        share = ours / theirs
        words = f"{ours:,.0f} by {one.our_form}, {theirs:,.0f} by {one.their_form}"
        words += "" if one.same else "; labels differ"
        yield Verdict(one.model, one.core, quantity, share, limit, one.same and within(share, limit), words)


def _of_forms(fast: Comparison, small: Comparison) -> Iterator[Verdict]:
    """Labels, stack, variables and bounds of the fastest and the smallest form."""
    chosen = tuple({one.form: one for one in (fast.mine, small.mine)}.values())
    forms = ", ".join(one.form for one in chosen)
    model, core = fast.model, fast.core
    rates = [(one.agree, one.edge) for one in chosen if one.agree is not None]
    if rates:
        lost = 1 - min(agree for agree, _ in rates)
        edges = [edge for _, edge in rates if edge is not None]
        at_edges = 1 - min(edges, default=1.0)
        limit = LOSS.get(model, 0.0)
        words = f"{forms}; {at_edges:.2%} at thresholds" if edges else forms
        met = all(has_same_labels(one) for one in chosen)
        yield Verdict(model, core, "labels that differ", max(lost, at_edges), limit, met, words)
    if model in SMALL_STACKS:
        stack = max(one.most_stack for one in chosen)
        words = ", ".join(f"{one.most_stack} B {one.form}" for one in chosen)
        yield Verdict(model, core, "stack bytes", stack, STACK_BYTES, stack <= STACK_BYTES, words)
    variables = max(one.ram_bytes for one in chosen)
    yield Verdict(model, core, "variables in RAM, bytes", variables, 0, variables == 0, forms)
    missing = [one for one in chosen if one.bound is None or one.bound.instructions is None]
    words = "; ".join(_bound_words(one) for one in chosen)
    yield Verdict(model, core, "forms without a bound", len(missing), 0, not missing, words)


def _bound_words(one: Figures) -> str:
    """Mean, most and bound side by side."""
    seen = f"{one.form}: {one.mean:,.0f} mean, {one.most:,} most"
    bound = one.bound
    if bound is None:
        return f"{seen}, not bounded"
    if bound.instructions is None:
        return f"{seen}, no bound ({bound.refused})"
    cycles = "" if bound.cycles is None else f", {bound.cycles:,} cycles"
    return f"{seen}, {bound.instructions:,} at most{cycles}"


def _vectors(wide: Comparison, narrow: Comparison, limit: float) -> Verdict:
    share = wide.ours / narrow.ours
    words = f"{wide.ours:,.0f} by {wide.our_form}, {narrow.ours:,.0f} by {narrow.our_form} on {narrow.core}"
    met = wide.same and narrow.same and share <= limit
    return Verdict(wide.model, wide.core, "instructions beside Cortex-M4", share, limit, met, words)
