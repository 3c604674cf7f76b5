"""What a report concludes: the verdict over all functions, and the difference to a former report.

Knows the report's values only; analyses and prints nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aprgen.wcet.report import (
    ACCESSES,
    INSTRUCTIONS,
    Change,
    Configuration,
    Difference,
    Entry,
    Former,
    Identity,
    Verdict,
)

EXCLUDED = "Interrupts, preemption, contention for memory and debug halts are not part of these cycles."
NO_TIME = (
    "Counts are no time: what an instruction takes here depends on caches, parallel issue and speculation, which no "
    "table states. Interrupts are not counted."
)


def unit_of(statuses: Iterable[str]) -> str | None:
    """What a report's numbers are: cycles or instructions; None when all is refused."""
    found = {one for one in statuses if one != "refused"}
    if not found:
        return None
    return "instructions" if found == {"instruction-count"} else "cycles"


def time_us(cycles: int, clock_mhz: float | None) -> float | None:
    return None if clock_mhz is None else cycles / clock_mhz


def verdict_of(entries: tuple[Entry, ...], core: str, configuration: Configuration) -> Verdict:
    """Of the function that takes longest. One refused function refuses the whole, as the others do not stand for it,
    and so does one run that contradicts the analysis."""
    for entry in entries:
        if entry.observed is not None and entry.observed.violations:
            sentence = f"No bound: an observation contradicts the analysis: {entry.observed.violations[0]}."
            return Verdict(
                "refused", entry.function, None, None, configuration.deadline_us, None, None, None, sentence, EXCLUDED
            )  # fmt: skip
    refused = [entry for entry in entries if entry.status == "refused"]
    bounded = [entry for entry in entries if entry.most is not None]
    stacks = [entry.stack.bytes for entry in entries if entry.stack is not None]
    stack = max(stacks) if len(stacks) == len(entries) else None
    deadline = configuration.deadline_us
    if refused:
        others = f"; {_names(bounded)} bounded, see below" if bounded else ""
        sentence = f"No bound for {_names(refused)}: {refused[0].refusal.what if refused[0].refusal else ''}{others}."
        return Verdict(
            "refused", refused[0].function, None, None, deadline, None, None, stack, sentence, EXCLUDED
        )  # fmt: skip
    worst = max(bounded, key=lambda entry: entry.most or 0)
    if worst.status == "instruction-count":
        return Verdict(
            worst.status, worst.function, None, None, deadline, None, None, stack,
            _counting_sentence(worst, core, configuration), NO_TIME, worst.counts,
        )  # fmt: skip
    cycles = worst.cycles
    assert cycles is not None
    time = time_us(cycles, configuration.clock_mhz)
    margin = None if time is None or deadline is None else deadline - time
    used = None if time is None or deadline is None else time / deadline
    return Verdict(
        worst.status, worst.function, cycles, time, deadline, margin, used, stack,
        _sentence(worst, cycles, time, core, configuration, margin), EXCLUDED,
    )  # fmt: skip


_KIND: Mapping[str, str] = {
    "bound": "cycles",
    "bound-measured-table": "cycles by a measured table that the vendor has not confirmed",
}


def _counting_sentence(worst: Entry, core: str, configuration: Configuration) -> str:
    made = {count.measure: count.at_most for count in worst.counts}
    return (
        f"{worst.function} executes at most {made[INSTRUCTIONS]:,} instructions and makes at most "
        f"{made[ACCESSES]:,} memory accesses on {core}{_texts(configuration)}; its time is not "
        "bounded."
    )


def _sentence(
    worst: Entry, cycles: int, time: float | None, core: str, configuration: Configuration, margin: float | None
) -> str:
    states = configuration.wait_states
    at = f"{core} with {states} wait state{'' if states == 1 else 's'}"
    at += "" if configuration.wait_states_given else " assumed"
    parts = [f"{worst.function} takes at most {cycles:,} {_KIND[worst.status]} on {at}{_texts(configuration)}"]
    if time is not None:
        parts.append(f"{time:,.2f} us at {configuration.clock_mhz:g} MHz")
    if margin is not None:
        kept = f"{margin:,.2f} us before" if margin >= 0 else f"{-margin:,.2f} us after"
        parts.append(f"{kept} the deadline of {configuration.deadline_us:g} us")
    return f"{', '.join(parts)}."


def _texts(configuration: Configuration) -> str:
    n_bytes = configuration.text_bytes
    return "" if n_bytes is None else f" for texts of at most {n_bytes:,} bytes"


def _names(entries: list[Entry]) -> str:
    return ", ".join(entry.function for entry in entries)


def meets_deadline(verdict: Verdict) -> bool:
    return verdict.margin_us is None or verdict.margin_us >= 0


def difference_to(entries: tuple[Entry, ...], identity: Identity, former: Former, gate: float | None) -> Difference:
    """What became of a former report's bounds. A gate fails on more growth, and on a bound that is no longer there."""
    changes: list[Change] = []
    notes: list[str] = []
    passed = True
    now = {entry.function: entry.most for entry in entries}
    unit = unit_of(entry.status for entry in entries)
    if unit not in (None, former.unit) and former.unit is not None:
        note = f"the former report counts {former.unit} and this one {unit}, so nothing can be compared"
        return Difference(former.image_sha256, (), (note,), gate, gate is None)
    for function, before in former.most.items():
        after = now.get(function)
        if after is None:
            notes.append(f"{function} had a bound of {before:,} and has none now")
            passed = passed and gate is None
            continue
        percent = 100.0 * (after - before) / before if before else 0.0
        changes.append(Change(function, before, after, percent))
        passed = passed and (gate is None or percent <= gate)
    for name, was, became in (
        ("core", former.core, identity.core),
        ("model", former.model_sha256, identity.model_sha256),
        ("timing table", former.timing_sha256, identity.timing_sha256),
        ("compiler", former.compiler, identity.compiler),
    ):
        if was != became:
            notes.append(f"the {name} is another: {_short(was)}, now {_short(became)}")
    return Difference(former.image_sha256, tuple(changes), tuple(notes), gate, passed)


def _short(text: str) -> str:
    return text[:12] if len(text) == 64 else text
