"""Random structured C programs whose loops are marked, made from a seed: what the analysis of times is tested on.

A program is a stand-in model: `brake_scores` reads four words of its row and writes one. Loops have constant bounds,
some of which the data lets a run reach and some not; there are branches, early exits, calls, and functions that the
compiler inlines. No recursion, no division, no library.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray

from aprgen.image import Image, ModelFacts, build_image
from aprgen.resources import folder
from aprgen.target import load_target
from aprgen.toolchain import find_toolchain

LEVELS = ("-O0", "-O1", "-Os", "-O2", "-O3")
N_FEATURES = 4
FACTS = ModelFacts("brake", "row", N_FEATURES, 1, False)
HEADER = """#include <stddef.h>
#include <stdint.h>
void brake_scores(const float x[4], float out[1]);
void brake_predict_batch(const float *x, size_t n_rows, float *out);
"""
_MAX_DEPTH = 3
_CELLS = 8
_VARIABLES = ("a", "b", "c", "d")
_Maker = Callable[[int, int], list[str]]  # of a statement's lines, from its level of indentation and the nesting left


@dataclass(frozen=True)
class RandomProgram:
    """source: the text of brake.c. n_loops: as written, before the compiler copies them."""

    seed: int
    source: str
    n_loops: int

    def build(self, target_name: str, level: str, work: Path) -> Image:
        """The program as an image of the target, compiled with one of LEVELS instead of the target's own."""
        target = load_target(target_name)
        toolchain = find_toolchain(target, "system")
        cflags = tuple(level if flag == "-O2" else flag for flag in toolchain.rule.cflags)
        mark = (folder("runtime_c") / "apr_mark.h").read_text(encoding="utf-8")
        sources = {"brake.h": HEADER, "brake.c": self.source, "apr_mark.h": mark}
        chosen = replace(toolchain, rule=replace(toolchain.rule, cflags=cflags))
        return build_image(target, chosen, sources, FACTS, work, marks=True)


def random_program(seed: int, *, n_functions: int = 3, n_statements: int = 4, floats: bool = False) -> RandomProgram:
    """The program of that seed. floats: some arithmetic is in float32, for cores that have an FPU."""
    writer = _Writer(Random(seed), n_statements, floats)
    functions = [writer.function(number, n_functions) for number in reversed(range(n_functions))]
    body = "\n".join([*functions, writer.entry(n_functions)])
    source = f'#include "brake.h"\n#include "apr_mark.h"\n\n{_PARTS}{body}'
    return RandomProgram(seed, source, writer.n_loops)


def program_rows(n: int, seed: int) -> NDArray[np.float32]:
    """Rows whose words are small or large, seldom both."""
    generator = np.random.default_rng(seed)
    words = generator.integers(0, 2**32, (n, N_FEATURES), dtype=np.uint32)
    masks = generator.choice(np.array([0x7, 0xFF, 0xFFFF, 0xFFFFFFFF, 0], np.uint32), (n, N_FEATURES))
    rows: NDArray[np.float32] = (words & masks).view(np.float32)
    return rows


_PARTS = """typedef union {
    float f;
    uint32_t u;
} word;

static uint32_t cells[8];

"""


class _Writer:
    def __init__(self, random: Random, n_statements: int, floats: bool) -> None:
        self.random = random
        self.n_statements = n_statements
        self.floats = floats
        self.n_loops = 0
        self.n_counters = 0
        self.callees: range = range(0)

    def function(self, number: int, n_functions: int) -> str:
        """A function that calls only those with higher numbers."""
        self.callees = range(number + 1, n_functions)
        kind = self.random.choice(("static __attribute__((noinline))", "static inline", "static"))
        lines = "\n".join(self._statements(1, _MAX_DEPTH - 1))
        return f"""{kind} uint32_t part_{number}(uint32_t a, uint32_t b)
{{
    uint32_t c = a ^ {self._constant()};
    uint32_t d = b + 1U;
{lines}
    return (a + b) ^ (c + d);
}}
"""

    def entry(self, n_functions: int) -> str:
        self.callees = range(n_functions)
        lines = "\n".join(self._statements(1, _MAX_DEPTH))
        loads = "\n".join(
            f"    in.f = x[{number}];\n    uint32_t {name} = in.u;" for number, name in enumerate(_VARIABLES)
        )
        calls = "\n".join(f"    b ^= part_{number}(a, c);" for number in range(n_functions))
        return f"""void brake_scores(const float x[4], float out[1])
{{
    word in;
{loads}
{lines}
{calls}
    in.u = (a ^ b) + (c ^ d) + cells[a & {_CELLS - 1}U];
    out[0] = in.f;
}}

void brake_predict_batch(const float *x, size_t n_rows, float *out)
{{
    for (size_t i = 0U; i < n_rows; ++i) {{
        brake_scores(x + (i * 4U), out + i);
    }}
}}
"""

    def _statements(self, level: int, depth: int) -> list[str]:
        """Statements, of which those that nest do so at most `depth` times."""
        simple: tuple[_Maker, ...] = (self._assignment, self._assignment, self._cell, self._call)
        nested: tuple[_Maker, ...] = (
            self._if, self._if_else, self._for, self._for, self._while, self._for_with_exit, self._do_while,
        )  # fmt: skip
        lines: list[str] = []
        for _ in range(self.random.randint(1, self.n_statements)):
            lines += self.random.choice((*simple, *nested) if depth else simple)(level, depth)
        return lines

    def _variable(self) -> str:
        return self.random.choice(_VARIABLES)

    def _constant(self) -> str:
        return f"{self.random.choice((1, 3, 7, 0x55, 0x1234, 0x9E3779B9))}U"

    def _expression(self) -> str:
        left, right = self._variable(), self.random.choice((self._variable(), self._constant()))
        form = self.random.choice(
            ("{l} + {r}", "{l} - {r}", "{l} ^ {r}", "{l} * {r}", "{l} >> ({r} & 31U)", "{l} & {r}", "({l} << 3) | {r}")
        )
        return form.format(l=left, r=right)

    def _condition(self) -> str:
        left, right = self._variable(), self._variable()
        return self.random.choice((f"({left} & 1U) != 0U", f"{left} < {right}", f"{left} == {right}", f"{left} > 100U"))

    def _assignment(self, level: int, depth: int) -> list[str]:
        if self.floats and self.random.random() < 0.3:
            number = self.n_counters = self.n_counters + 1
            return [
                f"{_pad(level)}float f{number} = (float)({self._variable()} & 0xFFU) * 0.37f;",
                f"{_pad(level)}f{number} = (f{number} > 20.0f) ? (f{number} / 3.0f) : (f{number} - 1.5f);",
                f"{_pad(level)}{self._variable()} += (f{number} < 0.0f) ? 1U : (uint32_t)f{number};",
            ]
        return [f"{_pad(level)}{self._variable()} = {self._expression()};"]

    def _cell(self, level: int, depth: int) -> list[str]:
        return [f"{_pad(level)}cells[{self._variable()} & {_CELLS - 1}U] += {self._variable()};"]

    def _call(self, level: int, depth: int) -> list[str]:
        if not self.callees:
            return self._assignment(level, depth)
        callee = self.random.choice(self.callees)
        return [f"{_pad(level)}{self._variable()} += part_{callee}({self._variable()}, {self._expression()});"]

    def _if(self, level: int, depth: int) -> list[str]:
        inner = self._statements(level + 1, depth - 1)
        return [f"{_pad(level)}if ({self._condition()}) {{", *inner, f"{_pad(level)}}}"]

    def _if_else(self, level: int, depth: int) -> list[str]:
        return [
            *self._if(level, depth)[:-1],
            f"{_pad(level)}}} else {{",
            *self._statements(level + 1, depth - 1),
            f"{_pad(level)}}}",
        ]

    def _loop(self, level: int, depth: int, bound: int, head: str, before: str, last: str, end: str) -> list[str]:
        """A marked loop; in `head` and the others {i} is the counter."""
        self.n_loops += 1
        name = f"loop_{self.n_loops}"
        texts = {"i": f"i{self.n_loops}"}
        lines = [f"{_pad(level)}{before.format(**texts)}"] if before else []
        lines += [
            f"{_pad(level)}APR_LOOP({name}, {bound}U);",
            f"{_pad(level)}{head.format(**texts)} {{",
            f"{_pad(level + 1)}APR_BODY({name}, {bound}U);",
            *self._statements(level + 1, depth - 1),
        ]
        lines += [f"{_pad(level + 1)}{last.format(**texts)}"] if last else []
        return [*lines, f"{_pad(level)}}}{end.format(**texts)}"]

    def _for(self, level: int, depth: int) -> list[str]:
        n = self.random.randint(1, 6)
        return self._loop(level, depth, n, f"for (uint32_t {{i}} = 0U; {{i}} < {n}U; ++{{i}})", "", "", "")

    def _for_with_exit(self, level: int, depth: int) -> list[str]:
        n = self.random.randint(2, 6)
        last = f"if ({self._condition()}) {{{{ break; }}}}"
        return self._loop(level, depth, n, f"for (uint32_t {{i}} = 0U; {{i}} < {n}U; ++{{i}})", "", last, "")

    def _while(self, level: int, depth: int) -> list[str]:
        n = self.random.choice((1, 3, 7))
        before = f"uint32_t {{i}} = {self._variable()} & {n}U;"
        return self._loop(level, depth, n, "while ({i} != 0U)", before, "--{i};", "")

    def _do_while(self, level: int, depth: int) -> list[str]:
        n = self.random.choice((3, 7))
        before = f"uint32_t {{i}} = {self._variable()} & {n}U;"
        return self._loop(level, depth, n + 1, "do", before, "", " while ({i}-- != 0U);")


def _pad(level: int) -> str:
    return "    " * level
