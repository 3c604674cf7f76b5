"""The longest text that a model is given: what must be stated of it, and what is bounded, run and reported for it.

Knows how a bound grows with the length; the bytes that take long are `dear_texts`'s.
"""

from __future__ import annotations

from collections.abc import Mapping

from aprgen.core import Artifact
from aprgen.errors import UsageError
from aprgen.image import Image
from aprgen.program import Array
from aprgen.wcet.assumptions import LongestText
from aprgen.wcet.bounds import bound_as_for, bound_program
from aprgen.wcet.code import Code
from aprgen.wcet.dear_texts import dear_texts
from aprgen.wcet.graph import Graph
from aprgen.wcet.marks import marks_of
from aprgen.wcet.memory import Memory
from aprgen.wcet.report import TextBound
from aprgen.wcet.timing import Timing

MOST_TEXT_BYTES = 1 << 20
TEXT_BYTES = "wcet.text_bytes"  # the code of errors about it
BAD_UTF8 = "apr_utf8_bad"  # what apr_text.h spends for bytes that are no UTF-8
_LENGTH_BYTES = 4  # in front of a text in the harness's buffer


def require_length(artifact: Artifact, text_bytes: int | None) -> None:
    """Stated of models that take texts, and of no others."""
    takes_texts = artifact.program.source.element in ("text", "prefix")
    if takes_texts and text_bytes is None:
        raise UsageError(
            TEXT_BYTES, "how long a text is decides what the model takes for it", where=f"model {artifact.name}",
            hint="state the bytes of the longest text: --text-bytes N",
        )  # fmt: skip
    if text_bytes is not None and not takes_texts:
        raise UsageError(
            TEXT_BYTES, "the model takes rows of numbers, no texts", where="--text-bytes", hint="leave it out"
        )
    if text_bytes is not None and text_bytes > MOST_TEXT_BYTES:
        raise UsageError(
            TEXT_BYTES, f"{text_bytes:,} bytes are more than the {MOST_TEXT_BYTES:,} that are analysed",
            where="--text-bytes", hint="state a shorter text; the report's line per byte goes for all below",
        )  # fmt: skip


def longest_text(image: Image, text_bytes: int | None) -> LongestText | None:
    """What the report assumes of texts."""
    if text_bytes is None:
        return None
    suggestions = image.model.n_suggestions if image.model.kind == "prefix" else None
    return LongestText(text_bytes, suggestions)


def texts_to_trace(artifact: Artifact, image: Image, count: int, text_bytes: int) -> tuple[Array, str]:
    """What runs are given, as long as the harness has room, and what the report says of it; `count` are random."""
    n_bytes = min(text_bytes, 4 * image.in_words - _LENGTH_BYTES)
    described = f"texts of at most {n_bytes:,} bytes: of the model's words, of bytes that take long, random ones"
    return dear_texts(artifact.program, count, n_bytes), described


def text_checks(function: str) -> Mapping[str, int]:
    """A text that is checked first is read on only where it is UTF-8."""
    return {BAD_UTF8: 1} if function.endswith("_predict_text") else {}


def bound_by_length(
    function: str, graphs: Mapping[str, Graph], code: Code, image: Image, timing: Timing, memory: Memory, n_bytes: int
) -> TextBound | None:
    """The bound of texts of any length up to the longest. Allowances are rounded down, by less than two bytes of text
    are worth: the line's ends are bounds for two bytes more."""
    shorter, marks = (marks_of(image, n) for n in (2, n_bytes + 2))
    longer = bound_program(code, graphs, function, marks, timing, memory, text_checks(function))
    fixed = bound_as_for(longer, code, shorter, timing, memory)
    if fixed is None:
        return None
    per_byte = -(-(longer.cycles + 1 - fixed) // n_bytes)
    return TextBound(fixed, per_byte)
