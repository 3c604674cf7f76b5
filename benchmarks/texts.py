"""Texts looked up in a sorted list and by perfect hashing, side by side, beside scikit-learn's vectorizers.

    python benchmarks/texts.py [--terms N ...] [--work NAME ...] [--target NAME ...] [--core NAME ...] [--rounds N]
                               [--json FILE] [--quick]

    pip install "aprgen[benchmarks]"     # scikit-learn

Work: the fixtures count, tfidf and shell (completions of commands), with texts of what they know; counts of 100 to
100,000 words, and of as many words and pairs of words, made by a seed from the letters of English: texts of 16 words, a
fifth of them unknown, common ones more often. On targets of this machine the C is called as a library, both forms in
turns on one core: least microseconds of a text, nanoseconds of a byte of it. `clearing` is what zeros in all columns
take alone, without which no form can do. scikit-learn gets the same vocabulary, splits at white space, and is called
with all texts at once. On Cortex-M cores and WebAssembly an emulator counts the instructions (operators) of a text;
flash is that of the model's functions and tables. Answers of either form are compared with the Program of the sorted
list bit by bit, scikit-learn's within a millionth; status 1 when one differs, 7 when nothing can run here.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import importlib
import importlib.util
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from here import finish, one_core, report_file, toolchains_here, write_report
from models import file_of
from numpy.typing import NDArray
from wide_dense import built

from aprgen.build import build_artifact
from aprgen.container import Limits
from aprgen.core import Artifact, Options, artifact_of
from aprgen.errors import AprgenError, ToolchainError
from aprgen.loaded import Loaded, load_model
from aprgen.ops.suggest import Suggest
from aprgen.passes.text_forms import TEXT_FORMS, TextForm, with_text_forms
from aprgen.program import Program
from aprgen.rows import text_array
from aprgen.target import Target, load_target

SCHEMA = "aprgen.benchmarks.texts"
VERSION = 1
FIXTURES = Path(__file__).resolve().parents[1] / "tests" / "data" / "apr"
FILES = {"count": "extended/count_vectorizer.apr", "tfidf": "extended/tfidf.apr", "shell": "real/ngram_shell.apr"}
TERMS = (100, 1_000, 10_000, 100_000)
TARGETS = ("x86",)
CORES = ("cortex-m4", "cortex-m0plus", "wasm")
CORE_TERMS = 1_000  # more outputs take more memory than the boards have, and clearing them most of the time
TEXTS, CORE_TEXTS, COMPARED = 400, 24, 60
ROUNDS = 25
LETTERS = "eeeeeeeeeeeetttttttttaaaaaaaaooooooooiiiiiiinnnnnnnsssssshhhhhhrrrrrrddddlllluuucccmmmffwwyygpbvkxqjz"

_Any = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Work:
    """terms: of the vocabulary; None: a fixture. peer: texts in, counts out, as the Program gives them."""

    name: str
    loaded: Loaded
    texts: tuple[str, ...]
    terms: int | None
    peer: Callable[[Sequence[str]], Any] | None = None


@dataclass(frozen=True)
class Figure:
    """Of a text: microseconds on this machine, instructions on a core; and of one of its bytes. tables: bytes."""

    work: str
    target: str
    tool: str
    form: str
    unit: str
    text: float
    byte: float
    text_bytes: float
    tables: int | None = None
    flash_bytes: int | None = None
    stack_bytes: int | None = None
    clearing: float | None = None
    chosen: bool | None = None
    exact: bool | None = None


# Work.


def words(count: int, seed: int) -> list[str]:
    """Distinct words of 2 to 16 letters, as frequent as in English."""
    chance = random.Random(seed)
    made: dict[str, None] = {}
    while len(made) < count:
        size = min(16, max(2, int(chance.gauss(6.5, 2.2))))
        made["".join(chance.choice(LETTERS) for _ in range(size))] = None
    return list(made)


def vocabulary(count: int, high: int) -> list[str]:
    """Words; or half as many and pairs of them."""
    if high == 1:
        return words(count, 1)
    own, chance = words(count // 2, 1), random.Random(2)
    made = dict.fromkeys(own)
    while len(made) < count:
        made[f"{chance.choice(own)}_{chance.choice(own)}"] = None
    return list(made)


def english(known: Sequence[str], count: int) -> tuple[str, ...]:
    """Texts of 16 words, the first with a capital; a word's rank is as Zipf has it."""
    chance, strange = random.Random(3), words(5_000, 4)

    def word() -> str:
        if chance.random() < 0.2:
            return chance.choice(strange)
        return known[min(len(known) - 1, int(chance.paretovariate(0.6)) - 1)].replace("_", " ")

    return tuple(" ".join(word() for _ in range(16)).capitalize() for _ in range(count))


def made(count: int, high: int) -> Work:
    terms = vocabulary(count, high)
    fields: dict[str, object] = {
        "vocabulary": tuple((term, index) for index, term in enumerate(terms)), "lowercase": True, "max_features": None,
        "ngram_range": (1, high), "min_df": 1, "max_df": 1.0, "stop_words": None, "strip_accents": False,
    }  # fmt: skip
    limits = replace(Limits(), payload_items=4 * count + 1_000)
    loaded = load_model(file_of("CountVectorizer", 0x0012, fields), limits=limits)
    chance = random.Random(5)
    known = sorted(terms, key=lambda _: chance.random())
    peer = _sklearn(terms, high, None) if importlib.util.find_spec("sklearn") is not None else None
    return Work(f"{count} {'words' if high == 1 else 'words and pairs'}", loaded, english(known, TEXTS), count, peer)


def _sklearn(terms: Sequence[str], high: int, idf: _Any | None) -> Callable[[Sequence[str]], Any]:
    """scikit-learn's, with the vocabulary in order; its n-grams are joined by a space."""
    kind = importlib.import_module("sklearn.feature_extraction.text")
    options: dict[str, Any] = {
        "vocabulary": [term.replace("_", " ") for term in terms], "token_pattern": r"\S+", "ngram_range": (1, high),
    }  # fmt: skip
    if idf is None:
        return kind.CountVectorizer(**options).transform  # type: ignore[no-any-return]
    fitted = kind.TfidfVectorizer(**options, norm=None)
    fitted.idf_ = idf
    return fitted.transform  # type: ignore[no-any-return]


def fixture(name: str) -> Work:
    loaded = load_model((FIXTURES / FILES[name]).read_bytes())
    op = loaded.model.lower().steps[0].op
    texts: tuple[str, ...] = op.samples(60)  # type: ignore[attr-defined]
    if isinstance(op, Suggest):
        texts = tuple(text[: 1 + 2 * len(text) // 3] for text in texts)
    peer = None
    if not isinstance(op, Suggest) and importlib.util.find_spec("sklearn") is not None:
        counter: Any = getattr(loaded.model, "counter", loaded.model)
        terms = [term for term, _ in sorted(counter.vocabulary, key=lambda pair: pair[1])]
        if not counter.stop_words and all("_" not in term for term in terms):
            peer = _sklearn(terms, 1, getattr(loaded.model, "idf", None))
    return Work(name, loaded, texts, None, peer)


def works(names: Sequence[str], terms: Sequence[int]) -> Iterator[Work]:
    yield from (fixture(name) for name in FILES if not names or name in names)
    for high, name in ((1, "words"), (2, "pairs")):
        if not names or name in names:
            yield from (made(count, high) for count in terms)


# aprgen's side.

_SCORES = """
#include "m.c"
void m_all(const char *text, const size_t *start, size_t n, float *out, size_t row);
void m_all(const char *text, const size_t *start, size_t n, float *out, size_t row)
{
    for (size_t i = 0U; i < n; ++i) {
        m_scores_text(&text[start[i]], start[i + 1U] - start[i], &out[i * row]);
    }
}
void m_cleared(size_t n, volatile float *out);
void m_cleared(size_t n, volatile float *out)
{
    for (size_t i = 0U; i < n; ++i) {
        __builtin_memset((void *)out, 0, M_N_OUTPUTS * 4U);
        __asm__ volatile("" : : : "memory");
    }
}
"""
_SUGGESTIONS = """
#include "m.c"
void m_all(const char *text, const size_t *start, size_t n, float *out, size_t row);
void m_all(const char *text, const size_t *start, size_t n, float *out, size_t row)
{
    static char room[1U << 16];
    uint32_t lengths[M_N_SUGGESTIONS];
    for (size_t i = 0U; i < n; ++i) {
        float *const own = &out[i * row];
        for (uint32_t k = m_suggest(&text[start[i]], start[i + 1U] - start[i], M_N_SUGGESTIONS, room, sizeof(room),
                                    lengths, own);
             k < M_N_SUGGESTIONS; ++k) {
            own[k] = 0.0F;
        }
    }
}
"""


def in_form(work: Work, target: Target, form: TextForm) -> tuple[Program, Artifact]:
    lowered = work.loaded.model.lower()
    program = with_text_forms(lowered, target.text, form=form)
    return program, artifact_of(work.loaded, lowered, program, target, Options("m"))


def is_chosen(work: Work, target: Target, form: TextForm) -> bool:
    """Whether the costs take that form for the mean."""
    own, plain = with_text_forms(work.loaded.model.lower(), target.text), work.loaded.model.lower()
    return (own.steps[0].op.kernel == plain.steps[0].op.kernel) == (form == "sorted")


def least(calls: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """Microseconds of each, in turns."""
    best = [float("inf")] * len(calls)
    for _ in range(rounds):
        for index, call in enumerate(calls):
            began = time.perf_counter()
            call()
            best[index] = min(best[index], time.perf_counter() - began)
    return [1e6 * seconds for seconds in best]


def here(work: Work, targets: Sequence[str], rounds: int) -> Iterator[Figure]:
    data = [text.encode() for text in work.texts]
    starts = np.cumsum([0, *map(len, data)]).astype(np.uint64)
    blob, n = b"".join(data), len(data)
    text_bytes = len(blob) / n
    for target, toolchain in toolchains_here(targets, ["gcc", "clang"]):
        calls: list[Callable[[], object]] = []
        found: list[tuple[str, Program, bool]] = []
        clearing: Callable[[], object] | None = None
        for form in TEXT_FORMS:
            program, artifact = in_form(work, target, form)
            suggests = program.source.element == "prefix"
            texts = dict(artifact.texts) | {"all.c": _SUGGESTIONS if suggests else _SCORES}
            library = built(texts, "all.c", toolchain)
            size = program.n_outputs
            rows = np.full((min(n, COMPARED), size), np.nan, np.float32)
            pointer = starts.ctypes.data_as(ctypes.c_void_p)
            library.m_all(
                blob, pointer, ctypes.c_size_t(len(rows)), ctypes.c_void_p(rows.ctypes.data), ctypes.c_size_t(size)
            )
            other = with_text_forms(work.loaded.model.lower(), target.text, form="sorted")
            exact = other.run(text_array(list(work.texts[: len(rows)]))).tobytes() == rows.tobytes()
            out = np.zeros(size, np.float32)
            calls.append(functools.partial(
                library.m_all, blob, pointer, ctypes.c_size_t(n), ctypes.c_void_p(out.ctypes.data), ctypes.c_size_t(0)
            ))  # fmt: skip
            calls[-1].__dict__["keeps"] = out
            found.append((form, program, exact))
            if not suggests:
                clearing = functools.partial(library.m_cleared, ctypes.c_size_t(n), ctypes.c_void_p(out.ctypes.data))
        if clearing is not None:
            calls.append(clearing)
        peer_exact = None
        if work.peer is not None:
            answers = work.peer(work.texts[:COMPARED]).toarray().astype(np.float32)
            expected = found[0][1].run(text_array(list(work.texts[:COMPARED])))
            peer_exact = bool(np.allclose(answers, expected, rtol=1e-6))
            calls.append(functools.partial(work.peer, work.texts))
        times = [total / n for total in least(calls, rounds)]
        cleared = times[2] if clearing is not None else None
        for (form, program, exact), own in zip(found, times, strict=False):
            yield Figure(
                work.name, target.name, f"aprgen, {toolchain.name}", form, "us", own, 1000 * own / text_bytes,
                text_bytes, tables=_tables(program), clearing=cleared, exact=exact,
                chosen=is_chosen(work, target, form),  # type: ignore[arg-type]
            )  # fmt: skip
        if work.peer is not None:
            own = times[-1]
            yield Figure(
                work.name, "", "scikit-learn", "", "us", own, 1000 * own / text_bytes, text_bytes, exact=peer_exact
            )


def _tables(program: Program) -> int:
    return int(program.steps[0].op.n_bytes)  # type: ignore[attr-defined]


def on_core(work: Work, core: str) -> Iterator[Figure]:
    """Counts of an emulator for the first texts; nothing for a vocabulary that is too large for the board."""
    if work.terms is not None and work.terms > CORE_TERMS:
        return
    target = load_target(core)
    texts = work.texts[:CORE_TEXTS]
    text_bytes = sum(len(text.encode()) for text in texts) / len(texts)
    expected = work.loaded.model.lower().run(text_array(list(texts)))
    for form in TEXT_FORMS:
        program, artifact = in_form(work, target, form)
        built_here = build_artifact(artifact)
        run = built_here.run(text_array(list(texts)))
        if program.source.element == "prefix":
            op = program.steps[0].op
            assert isinstance(op, Suggest)
            exact = [op.suggest(text, op.size) for text in texts] == [
                tuple((one.text, one.score) for one in row) for row in (run.suggestions or ())
            ]
        else:
            exact = expected.tobytes() == run.scores.tobytes()
        counts = next(
            counts for name, counts in run.instructions.items() if name in ("scores", "scores_text", "suggest")
        )
        own = float(counts.values.astype(np.float64).mean())
        yield Figure(
            work.name, core, "aprgen", form, counts.unit, own, own / text_bytes, text_bytes, tables=_tables(program),
            flash_bytes=built_here.footprint.flash_bytes, stack_bytes=max(run.stack_bytes.values(), default=0),
            exact=exact, chosen=is_chosen(work, target, form),
        )  # fmt: skip


# The report.


def show(figures: Sequence[Figure]) -> None:
    """One line each; the hash's ratio is of the sorted list's, the peer's of the chosen form's."""
    before: Figure | None = None
    for one in figures:
        ratio = ""
        if one.form == "hashed" and before is not None:
            ratio = f"{before.text / one.text:5.1f}x quicker"
        elif one.tool == "scikit-learn" and before is not None:
            ratio = f"{one.text / before.text:5.1f}x slower"
        size = "" if one.tables is None else f"{one.tables:9,} B tables"
        size += "" if one.flash_bytes is None else f" {one.flash_bytes:7,} B flash {one.stack_bytes:4} B stack"
        size += "" if one.clearing is None else f" {one.clearing:7.3f} clearing"
        state = {True: "exact", False: "DIFFERS", None: ""}[one.exact]
        text = f"{one.text:9.3f} us" if one.unit == "us" else f"{one.text:9,.0f} {one.unit}"
        byte = f"{one.byte:6.2f} {'ns' if one.unit == 'us' else ''} a byte"
        mark = "*" if one.chosen else " "
        print(
            f"{one.work:24} {one.target:13} {one.tool:13} {one.form:6}{mark} {text} {byte} {ratio:14} {size} {state}",
            flush=True,
        )
        before = one


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks/texts.py", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--terms", nargs="+", type=int, default=None)
    parser.add_argument("--work", nargs="+", choices=(*FILES, "words", "pairs"), default=())
    parser.add_argument("--target", nargs="*", default=TARGETS)
    parser.add_argument("--core", nargs="*", choices=CORES, default=None)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", type=report_file)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(given)
    terms = options.terms or ((100,) if options.quick else TERMS)
    cores = options.core if options.core is not None else (() if options.quick else CORES)
    figures: list[Figure] = []
    for work in works(options.work, terms):
        with one_core():
            found = list(here(work, options.target, options.rounds))
        for core in cores:
            try:
                found += on_core(work, core)
            except (ToolchainError, AprgenError) as error:
                print(f"{work.name} {core}: {error.what}", flush=True)
        show(found)
        figures += found
    print("* the form that costs choose for the mean")
    write_report(options.json, SCHEMA, VERSION, [asdict(one) for one in figures])
    if not figures:
        return 7
    return 1 if any(one.exact is False for one in figures) else 0


if __name__ == "__main__":
    sys.exit(finish(main))
