"""From the words of the command line to the request of a verb. Knows argparse, and hides it.

Imports nothing heavy: `aprgen --help` must answer at once.
"""

from __future__ import annotations

import argparse
import functools
import math
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from aprgen import __version__
from aprgen.cli import protection
from aprgen.cli.device import add_loader, loader_of
from aprgen.cli.protection import add_opening, opening_of
from aprgen.cli.reading import add_reading
from aprgen.cli.requests import (
    Board,
    Bundle,
    Compile,
    Convert,
    Explore,
    Inspect,
    Numerics,
    Request,
    Run,
    Targets,
    Test,
    Validate,
    Wcet,
)
from aprgen.cli.tune_words import add_tune, tune_of
from aprgen.errors import UsageError

DEFAULT_TARGET = "host"
WCET_ROWS = 200
WITNESS_SECONDS = 60.0
SEARCH_SECONDS = 10.0  # the same, of each choice that a search or an exploration tries
GOALS = ("size", "mean", "wcet")  # as in passes/tree_costs.py, which is too heavy to import here
# As in passes/tree_shapes.py.
SHAPES = ("branches", "packed", "keyed-branches", "float-branches", "mixed", "compact", "calls")
EMBEDS = ("code", "bytes", "both")  # as in bundle/members.py
VERBS = (
    "compile", "run", "test", "wcet", "explore", "tune", "bundle", "inspect", "validate", "convert",
    *protection.VERBS, "loader", "targets",
)  # fmt: skip


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        hint = f"see {self.prog} --help"
        raise UsageError("usage.arguments", message, where=f"the words after {self.prog}", hint=hint)


def parse(words: Sequence[str]) -> Request:
    """The request; a UsageError says what is wrong with the words. --help and --version print and exit."""
    _refuse_unknown_verb(words)
    given = _parser().parse_args(list(words))
    match given.verb:
        case "compile":
            return _compile(given)
        case "run":
            return _run(given)
        case "test":
            return _test(given)
        case "wcet":
            return _wcet(given)
        case "explore":
            return Explore(
                given.model, given.target, given.name, given.calibrate, given.calibration_method, _board_of(given),
                given.json, given.html, given.struct, opening_of(given), given.tools, given.format,
            )  # fmt: skip
        case "tune":
            return tune_of(given)
        case "bundle":
            return _bundle(given)
        case "inspect":
            return Inspect(given.model, given.struct, opening_of(given), given.format)
        case "validate":
            return Validate(tuple(given.models), given.struct, opening_of(given), given.format)
        case "convert":
            return _convert(given)
        case verb if verb in protection.VERBS:
            return protection.request_of(given)
        case "loader":
            return loader_of(given)
        case _:
            return Targets(given.name, given.format)


def _refuse_unknown_verb(words: Sequence[str]) -> None:
    verb = next((word for word in words if not word.startswith("-")), None)
    if verb is None or verb in VERBS:
        return
    near = get_close_matches(verb, VERBS, n=2)
    hint = f"did you mean {' or '.join(near)}?" if near else f"use one of {', '.join(VERBS)}"
    raise UsageError("usage.verb", f"aprgen has no command {verb!r}", where="the first word", hint=hint)


def _numerics(n: argparse.Namespace) -> Numerics:
    if n.labels is not None and n.calibrate is None:
        hint = "add --calibrate ROWS, or leave the labels out"
        raise UsageError("usage.arguments", "labels belong to rows", where="--labels", hint=hint)
    return Numerics(n.numeric, n.calibrate, n.labels, n.calibration_method, n.max_loss, n.optimise, n.tuned)


def _board_of(n: argparse.Namespace) -> Board:
    return Board(n.wait_states, n.line_bytes, tuple(n.core_options or ()), n.witness_seconds, n.text_bytes)


def _compile(n: argparse.Namespace) -> Compile:
    given = (("flash", n.flash), ("ram", n.ram), ("stack", n.stack), ("cycles", n.cycles))
    limits = tuple((limit, value) for limit, value in given if value is not None)
    if n.numeric == "auto" and not limits:
        hint = "add --flash, --ram, --stack or --cycles, or see aprgen explore"
        raise UsageError("usage.arguments", "nothing to choose by", where="--numeric auto", hint=hint)
    if limits and not n.measure:
        hint = "leave one of them out"
        raise UsageError("usage.arguments", "a budget needs measuring", where="--no-measure", hint=hint)
    return Compile(
        n.model, n.target, n.out, n.name, _numerics(n), n.struct, opening_of(n), n.tools, n.measure, limits,
        _board_of(n), n.format,
    )  # fmt: skip


def _run(n: argparse.Namespace) -> Run:
    return Run(n.model, n.target, n.inputs, n.output, n.name, _numerics(n), n.struct, opening_of(n), n.tools, n.format)


def _test(n: argparse.Namespace) -> Test:
    model, named = n.model, list(n.targets or ())
    if model is None and named and named[-1].endswith(".apr"):
        model = Path(named.pop())  # `--target a b MODEL`: the list of targets took the model too
    if model is None:
        hint = "see aprgen test --help"
        raise UsageError("usage.arguments", "no MODEL is given", where="the words after aprgen test", hint=hint)
    targets = tuple(dict.fromkeys(named or (DEFAULT_TARGET,)))
    return Test(model, targets, n.rows, n.seed, n.struct, opening_of(n), _numerics(n), n.tools, n.format)


def _bundle(n: argparse.Namespace) -> Bundle:
    hint = "leave one of them out"
    if n.max_bytes is not None and not n.measure:
        raise UsageError("usage.arguments", "a limit needs measuring", where="--no-measure", hint=hint)
    if n.rows is not None and not n.test:
        raise UsageError("usage.arguments", "rows are for tests", where="--rows", hint="add --test")
    return Bundle(
        tuple(n.models), n.target, n.out, n.name, n.embed, n.optimise, n.max_bytes, n.test, n.rows, n.created,
        n.description, n.measure, opening_of(n), n.tools, n.format,
    )  # fmt: skip


def _wcet(n: argparse.Namespace) -> Wcet:
    if n.deadline_us is not None and n.clock_mhz is None:
        hint = "add --clock-mhz F"
        raise UsageError("usage.arguments", "a deadline in time needs a clock", where="--deadline-us", hint=hint)
    if n.gate is not None and n.compare is None:
        hint = "add --compare OLD.json"
        raise UsageError("usage.arguments", "a gate needs a former report", where="--gate", hint=hint)
    if n.tasks is not None and n.clock_mhz is None:
        hint = "add --clock-mhz F"
        raise UsageError("usage.arguments", "tasks with times need a clock", where="--tasks", hint=hint)
    for option, given in (("--load-budget-us", n.load_budget_us), ("--load-jitter-us", n.load_jitter_us)):
        if given is not None and n.load is None:
            hint = "add --load PLATFORM"
            raise UsageError("usage.arguments", "loading needs a platform", where=option, hint=hint)
    return Wcet(
        n.model, n.target, n.name, n.clock_mhz, n.wait_states, n.line_bytes, n.deadline_us, tuple(n.core_options or ()),
        n.timing, n.rows, n.witness_seconds, n.json, n.html, n.header, n.object, n.compare, n.gate, n.tasks, n.load,
        n.load_budget_us, n.load_jitter_us, n.text_bytes, n.measure, n.struct, opening_of(n), _numerics(n), n.tools,
        n.format,
    )  # fmt: skip


def _convert(n: argparse.Namespace) -> Convert:
    if n.payload is None:
        hint = "add --native, or --payload native or bincode"
        raise UsageError("usage.arguments", "no form to convert to", where="the words after convert", hint=hint)
    if not n.record and n.payload != "native":
        hint = "leave it out: the payload of the original library is all that the file then holds"
        raise UsageError("usage.arguments", "a record is kept in native payloads only", where="--no-record", hint=hint)
    return Convert(n.model, n.out, n.payload, n.record, n.struct, opening_of(n), n.format)


def _share(text: str) -> float:
    """A number of at least 0, or a percentage."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no share, such as 0.01 or 1%")
    return value


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
    if not 0 < value <= 1e12:
        raise argparse.ArgumentTypeError(f"{text} is not more than 0 and at most 1e12")
    return value


def _from_zero(text: str) -> float:
    return 0.0 if text.strip() in ("0", "0.0") else _positive(text)


def _core_option(text: str) -> tuple[str, int]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=NUMBER")
    return name, _count(value)


def _count(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
    if not 0 <= value <= 10_000_000:
        raise argparse.ArgumentTypeError(f"{value} is not from 0 to 10000000")
    return value


def _seconds(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
    if not 0 <= value < 1 << 64:
        raise argparse.ArgumentTypeError(f"{value} is no time in 64 bits")
    return value


@functools.cache
def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="aprgen",
        description="Compile small trained models (.apr) to C that is proved to agree with the original.",
        epilog="Exit status: 0 done, 1 a comparison failed, 2 usage, 3 bad file, 4 refused for security, 5 unsupported "
        "model or target, 6 over budget, 7 toolchain or runner missing or failed.",
    )
    parser.add_argument("--version", action="version", version=f"aprgen {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="COMMAND", required=True, title="commands")

    def verb(name: str, summary: str, usage: str | None = None) -> argparse.ArgumentParser:
        one = verbs.add_parser(name, help=summary, description=summary, usage=usage)
        one.add_argument("--format", choices=("text", "json"), default="text", help="for people or for programs")
        one.add_argument("--debug", action="store_true", help="print a traceback when aprgen itself is at fault")
        return one

    one = verb("compile", "Write C, header and manifest.json of a model.")
    _model(one)
    _generated(one)
    one.add_argument("--target", "-t", metavar="T", default=DEFAULT_TARGET, help="a target's name or TOML file (host)")
    one.add_argument("-o", "--out", metavar="DIR", type=Path, help="the folder to write to (./NAME)")
    one.add_argument("--name", metavar="N", help="the prefix of files and functions (the model's file name)")
    one.add_argument("--no-measure", dest="measure", action="store_false", help="do not build and measure")

    for limit, what in (
        ("flash", "bytes of flash"), ("ram", "bytes of variables and stack"), ("stack", "bytes of stack"),
        ("cycles", "cycles of any call, by the bound of aprgen wcet"),
    ):  # fmt: skip
        one.add_argument(
            f"--{limit}", metavar="N", type=_count, help=f"at most N {what}: other shapes are tried until it fits"
        )
    _board(one, SEARCH_SECONDS)

    one = verb("run", "Compile, build and execute a model on rows, on the target's runner.")
    _model(one)
    _generated(one)
    one.add_argument("--target", "-t", metavar="T", default=DEFAULT_TARGET, help="a target's name or TOML file (host)")
    one.add_argument("--inputs", "-i", metavar="ROWS", type=Path, required=True, help=".npy, .csv, or a text file")
    one.add_argument("--output", "-o", metavar="OUT", type=Path, help=".npz or .json; else the results are printed")
    one.add_argument("--name", metavar="N", help="the prefix of files and functions (the model's file name)")

    usage = "aprgen test MODEL [--target T ... | --target all] [--rows N] [--seed S] [options]"
    one = verb("test", "Run edge rows and random rows, and compare with Program.run() and predict().", usage)
    one.add_argument("model", metavar="MODEL", type=Path, nargs="?", help="an .apr file")
    _struct(one)
    add_opening(one)
    add_reading(one)
    _generated(one)
    one.add_argument(
        "--target", "-t", metavar="T", dest="targets", action="extend", nargs="+", help="one target, several, or all"
    )
    one.add_argument("--rows", metavar="N", type=_count, help="random rows beside the edge rows (1000)")
    one.add_argument("--seed", metavar="S", type=_count, help="of the random rows")

    one = verb("wcet", "Bound the worst-case time and the stack of the built code, and report how.")
    _model(one)
    _generated(one)
    one.add_argument("--target", "-t", metavar="T", required=True, help="a target's name or TOML file")
    one.add_argument("--name", metavar="N", help="the prefix of files and functions (the model's file name)")
    one.add_argument("--clock-mhz", metavar="F", type=_positive, help="the core's clock, for times beside cycles")
    one.add_argument("--deadline-us", metavar="D", type=_positive, help="exit with 6 when the bound is later")
    _board(one, WITNESS_SECONDS)
    one.add_argument(
        "--timing", metavar="FILE", type=Path, help="cycles that you measured (TOML), for the core's table"
    )
    one.add_argument("--rows", metavar="N", type=_count, default=WCET_ROWS, help=f"random rows to trace ({WCET_ROWS})")
    one.add_argument("--json", metavar="FILE", type=Path, help="write the report for programs")
    one.add_argument("--html", metavar="FILE", type=Path, help="write the report for people, one page")
    one.add_argument("--header", metavar="FILE", type=Path, help="write the constants as a C header")
    one.add_argument("--object", metavar="FILE", type=Path, help="write the analysed object file, to link it")
    one.add_argument("--compare", metavar="OLD", type=Path, help="a former report (JSON) to compare with")
    one.add_argument("--gate", metavar="PERCENT", type=_from_zero, help="exit with 1 when a bound grew by more")

    one.add_argument("--tasks", metavar="FILE", type=Path, help="a set of tasks (TOML); exit with 6 when one is late")
    one.add_argument("--load", metavar="PLATFORM", help="estimate the load time there: a name or a TOML file")
    one.add_argument("--load-budget-us", metavar="B", type=_positive, help="exit with 6 when loading takes longer")
    one.add_argument(
        "--load-jitter-us", metavar="J", type=_positive, help="say what ring buffer a stream needs then"
    )
    one.add_argument("--measure", action="store_true", help="measure time on this machine, too, where it is the target")

    one = verb("explore", "Build every numeric mode and shape, measure them, and show which are worth having.")
    _model(one)
    one.add_argument("--target", "-t", metavar="T", default=DEFAULT_TARGET, help="a target's name or TOML file (host)")
    one.add_argument("--name", metavar="N", help="the prefix of files and functions (the model's file name)")
    _calibration(one)
    _board(one, SEARCH_SECONDS)
    one.add_argument("--json", metavar="FILE", type=Path, help="write all figures for programs")
    one.add_argument("--html", metavar="FILE", type=Path, help="write table and charts for people, one page")
    _tools(one)

    add_tune(verb, _count, _positive)

    one = verb("bundle", "Write several models as one C file with a registry, or pack them into an .apbundle.")
    one.add_argument(
        "models", metavar="MODEL", nargs="+",
        help="[NAME=]FILE[:code|bytes|both] of an .apr file or .apbundle; or one bundle.toml",
    )  # fmt: skip
    one.add_argument("--target", "-t", metavar="T", help="a target's name or TOML file (host)")
    one.add_argument("-o", "--out", metavar="DIR", type=Path, help="the folder to write to (./NAME), or X.apbundle")
    one.add_argument("--name", metavar="N", help="the prefix of files and functions (bundle)")
    one.add_argument("--embed", choices=EMBEDS, default="code", help="where a MODEL does not say it (code)")
    one.add_argument("--optimise", metavar="GOAL", choices=(*GOALS, *SHAPES), help="the shape of trees, as of compile")
    one.add_argument("--max-bytes", metavar="N", type=_count, help="exit with 6 when it takes more bytes of flash")
    one.add_argument("--test", action="store_true", help="run self-test, edge rows and random rows on the runner")
    one.add_argument("--rows", metavar="N", type=_count, help="with --test: random rows of each model (200)")
    one.add_argument("--created", metavar="S", type=_seconds, default=0, help="of an .apbundle: Unix seconds (0)")
    one.add_argument("--description", metavar="TEXT", default="", help="of an .apbundle")
    one.add_argument("--no-measure", dest="measure", action="store_false", help="do not build and measure")
    add_opening(one)
    _tools(one)

    one = verb("inspect", "Show what a file holds.")
    _model(one)

    one = verb("validate", "Run every check on files; the exit status says.")
    one.add_argument("models", metavar="MODEL", type=Path, nargs="+", help=".apr files")
    _struct(one)
    add_opening(one)
    add_reading(one)

    protection.add_verbs(verb)

    one = verb("convert", "Write a model's file with its payload in another form.")
    _model(one)
    one.add_argument("-o", "--out", metavar="OUT.apr", type=Path, required=True, help="the file to write")
    forms = one.add_mutually_exclusive_group()
    forms.add_argument(
        "--payload", choices=("native", "bincode"), help="native: for devices, used in place; bincode: the original's"
    )
    forms.add_argument("--native", dest="payload", action="store_const", const="native", help="as --payload native")
    one.add_argument(
        "--no-record", dest="record", action="store_false",
        help="leave the original payload out of a native one: smaller, and not to be converted back",
    )  # fmt: skip

    add_loader(verb, DEFAULT_TARGET)

    one = verb("targets", "List the targets, or show one.")
    one.add_argument("name", metavar="NAME", nargs="?", default="", help="a target's name or TOML file")
    return parser


def _board(parser: argparse.ArgumentParser, seconds: float) -> None:
    parser.add_argument("--wait-states", metavar="N", type=_count, help="of the memory with code and constants (0)")
    parser.add_argument("--line-bytes", metavar="N", type=_count, default=4, help="fetched at once from it (4)")
    parser.add_argument(
        "--core-option", metavar="NAME=N", dest="core_options", action="append", type=_core_option,
        help="what the maker of the chip chose, such as multiplier=1 on cortex-m0plus (the worst)",
    )  # fmt: skip
    parser.add_argument("--text-bytes", metavar="N", type=_count, help="of the longest text, for models of texts")
    parser.add_argument(
        "--witness-seconds", metavar="S", type=_from_zero, default=seconds,
        help=f"search so long for the row that trees take longest for; 0: without ({seconds:g})",
    )  # fmt: skip


def _model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", type=Path, help="an .apr file")
    _struct(parser)
    add_opening(parser)
    add_reading(parser)


def _struct(parser: argparse.ArgumentParser) -> None:
    summary = "the payload's struct, where the file cannot tell"
    parser.add_argument("--as", dest="struct", metavar="STRUCT", help=summary)


def _generated(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--numeric", metavar="MODE", default="f32",
        help="f32 (the default); f32-fast or bf16: floats with fused sums, or shorter ones, within a stated bound; s16 "
        "or s8: integers; auto, of compile with a budget: any that fits",
    )  # fmt: skip
    _calibration(parser)
    parser.add_argument(
        "--labels", metavar="FILE", type=Path,
        help="what is right for each row of --calibrate, labels or values: accuracy before and after is printed",
    )  # fmt: skip
    parser.add_argument(
        "--max-loss", metavar="L", type=_share,
        help="refuse to lose more: share of right labels (without --labels: of labels that change), or of the spread "
        "of scores",
    )  # fmt: skip
    parser.add_argument(
        "--optimise", metavar="GOAL", choices=(*GOALS, *SHAPES),
        help="the shape of trees, and how to look up texts: smallest (size), or fewest instructions on average (mean) "
        f"or at most (wcet); or a shape: {', '.join(SHAPES)}",
    )  # fmt: skip
    parser.add_argument("--tuned", metavar="FILE", type=Path, help="records of `aprgen tune` that choose strategies")
    _tools(parser)


def _calibration(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--calibrate", metavar="ROWS", type=Path,
        help="rows that s16 and s8 take their scales from, and that show --optimise which splits most rows pass",
    )  # fmt: skip
    parser.add_argument(
        "--calibration-method", metavar="M", default="minmax", help="minmax (the default), percentile or mse"
    )


def _tools(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tools", metavar="FROM", default="auto", help="auto, system or pypi, or a toolchain's name")
