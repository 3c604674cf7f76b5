"""What must hold for the numbers of a report to hold, each line with its state: proved, configured or assumed.

Knows the sentences. What was proved, counted or stated it is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aprgen.wcet.memory import Memory
from aprgen.wcet.report import Assumption, Entry, Observed
from aprgen.wcet.timing import Timing


@dataclass(frozen=True)
class LongestText:
    """n_bytes: as stated. suggestions: the most that are asked for; None where none are."""

    n_bytes: int
    suggestions: int | None


def assumptions(
    entries: Sequence[Entry], timing: Timing, memory: Memory, same: bool, *, waits_given: bool,
    text: LongestText | None = None,
) -> tuple[Assumption, ...]:
    """Every line that must hold for the numbers to hold. Sources of the table are listed last.

    same: an ordinary compilation gives the analysed code. waits_given: the user stated the wait states.
    """
    counted = timing.unit != "cycles"
    lines = [
        Assumption(
            "No interrupt, exception or other task runs between entry and return.", "assumed",
            "their time is added by the integrator's schedulability analysis",
        ),
        Assumption(
            "Debugger and trace hardware do not halt or slow the core.", "assumed", "not visible in the program"
        ),
    ]  # fmt: skip
    if counted:
        lines = [Assumption("No interrupt, exception or other task is counted.", "assumed", "they are other code")]
    else:
        lines += _memory_lines(memory, waits_given)
    lines += [] if text is None else _text_lines(text)
    lines += _shipped_lines(same, None if counted else max(4, memory.line_bytes))
    origins = {loop.origin for entry in entries for loop in entry.loops}
    if any(origin.startswith("generator") for origin in origins):
        lines.append(_loops_line([entry.observed for entry in entries if entry.observed is not None]))
    if any(loop.cross_check == "proved" for entry in entries for loop in entry.loops):
        lines.append(
            Assumption(
                "Every loop repeats at most as often as its counter allows.", "proved",
                "the counter starts, moves and ends by constants in locals, which nothing else can change",
            )
        )  # fmt: skip
    if any(entry.witness is not None for entry in entries):
        lines.append(
            Assumption(
                "The input and the output of a call lie apart from each other and from the stack.", "assumed",
                "so the walk of the trees reads what the caller wrote",
            )
        )  # fmt: skip
    if any(entry.most is not None for entry in entries):
        lines.append(
            Assumption(
                "Control flow, call depth and stack movement are those of the analysed image.", "proved",
                "every reachable instruction was decoded; indirect jumps, recursion and moving stack are refused",
            )
        )  # fmt: skip
    if not counted:
        lines += [Assumption(_sentence(text), "assumed", because) for text, because in _table_lines(timing)]
    return tuple(lines)


def _text_lines(text: LongestText) -> list[Assumption]:
    lines = [Assumption(f"No text is longer than {text.n_bytes:,} bytes.", "configured", "--text-bytes")]
    if text.suggestions is not None:
        lines.append(
            Assumption(f"No call asks for more than {text.suggestions} suggestions.", "assumed", "as the header says")
        )
    return lines


def _memory_lines(memory: Memory, given: bool) -> list[Assumption]:
    lines = []
    for sentence in memory.assumptions:
        text = _sentence(sentence.removeprefix("configured: "))
        if text == _sentence(sentence):
            lines.append(Assumption(text, "assumed", "a property of the board"))
        elif given:
            lines.append(Assumption(text, "configured", "--wait-states"))
        else:
            lines.append(Assumption(text, "assumed", "--wait-states was not given"))
    return lines


def _loops_line(observed: Sequence[Observed]) -> Assumption:
    """Only traced runs count loops again; runs of which just the instructions were counted do not."""
    runs = sum(one.runs for one in observed if one.facts_checked)
    because = "constants of the generated C"
    if runs and not any(one.violations for one in observed):
        because += f"; counted again in {runs:,} traced runs without a violation"
    return Assumption("Every loop repeats at most as often as the generator states.", "assumed", because)


def _shipped_lines(same: bool, unit: int | None) -> tuple[Assumption, ...]:
    """How the analysed code gets into the application. unit: bytes to which its place matters; None: to none."""
    place = "with the library of the same compiler"
    place += "" if unit is None else f", at addresses with the same remainder by {unit}"
    if same:
        return (
            Assumption(
                "An ordinary compilation of the generated C with these flags gives the analysed code.", "proved",
                "compiled so, and compared: sections and references of both objects are equal",
            ),
            Assumption(
                f"The application compiles the model with the same compiler and flags, and links it {place}.",
                "assumed", "or it links the object that aprgen wcet --object or SCons writes: it is the same",
            ),
        )  # fmt: skip
    return (
        Assumption(
            f"The application links the object file that was analysed, {place}.", "assumed",
            "aprgen wcet --object writes it; compiled in the ordinary way, this model's code is other code",
        ),
    )  # fmt: skip


def _table_lines(timing: Timing) -> list[tuple[str, str]]:
    """The timing table's own sentences: what it is, its options, and its sources."""
    sources = [text for text in timing.assumptions if text.startswith("source ")]
    others = [text for text in timing.assumptions if not text.startswith("source ")]
    because = "; ".join(text.removeprefix("source ") for text in sources)
    return [(text, because if number == 0 else "an option of the core") for number, text in enumerate(others)]


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."
