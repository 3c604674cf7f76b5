"""Images: the generated C of a model, linked with a harness that runs it on a target.

Knows what the harness needs to know of a model. Knows nothing of families or ops, and runs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from aprgen.errors import UnsupportedError, UsageError
from aprgen.resources import folder
from aprgen.target import Target
from aprgen.toolchain import COMPILE_SECONDS, Toolchain, Unit, compile_support, compile_units, link

Kind = Literal["row", "text", "prefix"]

_HOSTED_BUFFER_WORDS = 1 << 20
_MAX_BOARD_BUFFER_WORDS = 1 << 18
_BLOCK_RECORDS = 1 << 16
LINE_FLAGS = ("-g1", "-gdwarf-4")  # lines, and nothing of variables
# The harness stores floats in buffers that it declares as words.
_HARNESS_FLAGS = ("-fno-strict-aliasing",)


@dataclass(frozen=True)
class ModelFacts:
    """What a model looks like from outside.

    kind: "row" takes n_features floats, "text" takes UTF-8 (n_features is 0), "prefix" takes UTF-8 and gives the
    n_suggestions best completions, whose texts together fill at most text_bytes.
    """

    name: str
    kind: Kind
    n_features: int
    n_outputs: int
    has_classify: bool
    n_suggestions: int = 5
    text_bytes: int = 1024
    has_codes: bool = False  # functions of rows of integers, too
    has_batch: bool = False  # functions of many rows that compute in a way of their own

    @property
    def functions(self) -> tuple[str, ...]:
        """The functions that are run and measured, as in NAME_<function>."""
        match self.kind:
            case "row":
                return ("scores", "classify") if self.has_classify else ("scores",)
            case "text":
                return ("scores_text",)
            case "prefix":
                return ("suggest",)

    @property
    def batch_functions(self) -> tuple[str, ...]:
        """The functions that are run on all rows of a block at once; nobody counts their instructions."""
        both = ("predict_batch", "classify_batch")
        return (both if self.has_classify else both[:1]) if self.has_batch else ()

    @property
    def every_function(self) -> tuple[str, ...]:
        """All that an image runs, in the order of its results."""
        return (*self.functions, *self.batch_functions)

    @property
    def code_functions(self) -> tuple[str, ...]:
        """The same of rows of codes; they are measured, and run by other harnesses only."""
        return tuple(f"{function}_q" for function in self.functions) if self.has_codes else ()

    def symbol(self, function: str) -> str:
        return f"{self.name}_{function}"

    def out_words(self, function: str) -> int:
        """32-bit words of one result."""
        match function:
            case "classify" | "classify_batch":
                return 1
            case "suggest":
                return 1 + 2 * self.n_suggestions + (self.text_bytes + 3) // 4
            case _:
                return self.n_outputs

    @property
    def result_words(self) -> int:
        return sum(self.out_words(function) for function in self.every_function)


@dataclass(frozen=True)
class Image:
    """A program for a target. `folder` holds everything that was made; in_words and out_words are its buffers."""

    target: Target
    toolchain: Toolchain
    model: ModelFacts
    folder: Path
    program: Path
    object: Path
    in_words: int
    out_words: int


def build_image(
    target: Target,
    toolchain: Toolchain,
    sources: Mapping[str, str | bytes],
    model: ModelFacts,
    work: Path,
    seconds: float = COMPILE_SECONDS,
    marks: bool = False,
    keep: Sequence[str] = (),
    lines: bool = False,
    beside: Sequence[Path] = (),
) -> Image:
    """Compile the model and link it with the harness. sources: file names and texts, of which NAME.c is compiled.

    seconds: how long each run of the compiler may take. marks: the model's loops say how often they run, also where
    they do so only on request. keep: functions that stay although the harness does not call them. lines: the program
    says which line of the C each instruction comes from. beside: objects that NAME.c calls.
    """
    work = work.resolve()  # the compiler runs there
    in_words, out_words = _buffers(target, model)
    unit = _write_sources(toolchain, sources, model, work, marks=marks)
    if lines:
        unit = replace(unit, flags=(*unit.flags, *LINE_FLAGS))
    harness = work / "harness_model.c"
    harness.write_text(_harness_model(model, in_words, out_words))
    root = folder("qemu")
    include = (work, root / "harness", root / "calls")
    harness_unit = Unit(harness, work / "harness_model.o", _HARNESS_FLAGS, include)
    compile_units(toolchain, (unit, harness_unit), work, seconds)
    support = compile_support(toolchain, (*target.harness, "harness"), _HARNESS_FLAGS, work)
    flags = list(toolchain.rule.image_flags)
    capacities: dict[str, int] = {}
    if target.board is not None:
        script = work / "link.ld"
        script.write_text(_linker_script(target))
        flags.append(f"-Wl,-T,{script.name}")
        capacities = {"flash": target.board.code_bytes, "ram": target.board.ram_bytes}
    program = work / f"{model.name}.{target.image}"
    link(
        toolchain,
        (unit.out, harness_unit.out, *beside, *support),
        program,
        flags=flags,
        # The callers too: WebAssembly exports nothing else, and there they are called one record at a time.
        keep=[*(f"apr_{what}_{function}" for what in ("call", "skip") for function in model.functions), *keep],
        work=work,
        capacities=capacities,
    )
    return Image(target, toolchain, model, work, program, unit.out, in_words, out_words)


def build_shared(
    target: Target, toolchain: Toolchain, sources: Mapping[str, str | bytes], model: ModelFacts, work: Path
) -> Path:
    """A shared library of the model's C, for a target that is this machine, with calls for Python where it takes rows.

    Python's own functions are left open: the interpreter that loads the library has them.
    """
    if not toolchain.rule.shared:
        raise UnsupportedError(
            "image.shared", f"{toolchain.name} builds no shared library for {target.name}",
            where=f"target {target.name}", hint="shared libraries are for host, x86 and arm-neon on such machines",
        )  # fmt: skip
    work = work.resolve()
    unit = _write_sources(toolchain, sources, model, work)
    units = [replace(unit, out=work / f"{model.name}.pic.o", flags=(*unit.flags, "-fPIC"))]
    if model.kind == "row":
        calls = work / "python_calls.c"
        calls.write_text(python_calls(model))
        units.append(Unit(calls, work / "python_calls.o", ("-fPIC",), (work, folder("qemu") / "python")))
    compile_units(toolchain, units, work)
    support = compile_support(toolchain, target.support, ("-fPIC", "-fvisibility=hidden"), work)
    out = work / f"{model.name}.so"
    link(toolchain, (*(one.out for one in units), *support), out, flags=toolchain.rule.shared, work=work)
    return out


def _write_sources(
    toolchain: Toolchain, sources: Mapping[str, str | bytes], model: ModelFacts, work: Path, *, marks: bool = False
) -> Unit:
    """Write the generated files, all of them beside each other, and say how NAME.c is compiled."""
    if f"{model.name}.c" not in sources:
        raise UsageError(
            "image.sources", f"the sources hold no {model.name}.c", where="build_image", hint="pass the generated files"
        )
    try:
        work.mkdir(parents=True, exist_ok=True)
        for name, text in sources.items():
            (work / Path(name).name).write_bytes(text.encode() if isinstance(text, str) else text)
    except OSError as error:
        raise UsageError(
            "image.folder", f"cannot write the build folder: {error.strerror}", where=str(work),
            hint="choose a folder that can be written",
        ) from error  # fmt: skip
    flags = ("-fstack-usage",) if toolchain.rule.stack_usage else ()
    marks = marks or toolchain.rule.always_marked
    return Unit(work / f"{model.name}.c", work / f"{model.name}.o", flags, (work,), marks)


def _buffers(target: Target, model: ModelFacts) -> tuple[int, int]:
    """Words for records and for results: a quarter of the board's RAM, but at least one record."""
    board = target.board
    words = _HOSTED_BUFFER_WORDS if board is None else min(board.ram_bytes // 16, _MAX_BOARD_BUFFER_WORDS)
    if model.kind == "row":
        records = max(1, min(words // max(1, model.n_features + model.result_words), _BLOCK_RECORDS))
        return max(1, records * model.n_features), max(1, records * model.result_words)
    return words // 2, max(words // 2, model.result_words)


def _linker_script(target: Target) -> str:
    board = target.board
    assert board is not None
    script = next(
        (path for name in target.harness if (path := folder("qemu") / name / "link.ld").is_file()), None
    )  # fmt: skip
    if script is None:
        raise UsageError(
            "harness.script", "no harness folder has a link.ld", where=f"harness of target {target.name}",
            hint="a target with a [board] needs one: cortex-m has it",
        )  # fmt: skip
    return (
        "MEMORY\n{\n"
        f"    flash (rx) : ORIGIN = {board.code_origin:#010x}, LENGTH = {board.code_bytes:#x}\n"
        f"    ram (rwx) : ORIGIN = {board.ram_origin:#010x}, LENGTH = {board.ram_bytes:#x}\n"
        "}\n"
    ) + script.read_text()


def python_calls(model: ModelFacts) -> str:
    """The C file that lets Python call the batch functions of a model that takes rows."""
    labels = "APR_PYTHON_CALL(classify_batch, int32_t, 'i', 0)\n" if model.has_classify else ""
    return f"""/* Lets Python call the model {model.name}. */
#include "{model.name}.h"

#define APR_MODEL(function) {model.name}_##function
#define APR_N_FEATURES {model.n_features}
#define APR_N_OUTPUTS {model.n_outputs}

#include "apr_python.h"

APR_PYTHON_CALL(predict_batch, float, 'f', APR_N_OUTPUTS)
{labels}"""


def _harness_model(model: ModelFacts, in_words: int, out_words: int) -> str:
    """The C file that ties the harness to one model."""
    record = "row" if model.kind == "row" else "text"
    calls = "\n".join(f'#include "{function}.c"' for function in model.every_function)
    table = "\n".join(
        f"    {{apr_call_{function}, apr_skip_{function}, {model.out_words(function)}U, NULL}},"
        for function in model.functions
    ) + "".join(
        f"\n    {{apr_skip_{function}, apr_skip_{function}, {model.out_words(function)}U, apr_call_{function}}},"
        for function in model.batch_functions
    )  # fmt: skip
    n_functions = len(model.every_function)
    return f"""/* Ties the harness to the model {model.name}. */
#include "harness.h"
#include "{model.name}.h"

#define APR_MODEL(function) {model.name}_##function
#define APR_N_FEATURES {model.n_features}U
#define APR_K {model.n_suggestions}U
#define APR_TEXT_BYTES {model.text_bytes}U

#include "{record}.c"
{calls}

const apr_function apr_functions[{n_functions}] = {{
{table}
}};
const uint32_t apr_n_functions = {n_functions}U;
const uint32_t apr_in_words = {in_words}U;
uint32_t apr_in[{in_words}] __attribute__((aligned(16)));
uint32_t apr_out[{out_words}] __attribute__((aligned(16)));
uint32_t apr_stack[{2 * n_functions}];
"""
