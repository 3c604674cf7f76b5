"""The command line: chooses the verb, turns every error into three lines and an exit status.

Imports a verb's module only when that verb is asked for. Knows nothing of models.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from aprgen.cli.arguments import parse
from aprgen.cli.device import Loader
from aprgen.cli.printable import visible
from aprgen.cli.protection import Decrypt, Encrypt, Keygen, Sign
from aprgen.cli.requests import Bundle, Compile, Convert, Explore, Inspect, Request, Run, Targets, Test, Validate, Wcet
from aprgen.cli.tune_words import Evaluate, Merge, Tune
from aprgen.errors import AprgenError, UnsupportedError, UsageError

INTERRUPTED = 130  # 128 + SIGINT, as shells have it
READER_GONE = 141  # 128 + SIGPIPE
OWN_FAULT = 70  # EX_SOFTWARE of sysexits.h


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status; prints no traceback unless --debug asks for it."""
    words = list(sys.argv[1:] if argv is None else argv)
    _print_anything()
    try:
        status = execute(parse(words))
    except AprgenError as error:
        status = _report(error, error.exit_status)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = INTERRUPTED
    except BrokenPipeError:
        status = READER_GONE
    except Exception as error:
        described = _described(error)
        status = _report(described, OWN_FAULT if described.code == "internal" else described.exit_status)
        if "--debug" in words:
            traceback.print_exception(error)
    return _flushed(status)


def execute(request: Request) -> int:
    """The verb's own exit status: 0, or what its report says."""
    match request:
        case Compile():
            from aprgen.cli.compile import compile_command

            return compile_command(request)
        case Run():
            from aprgen.cli.run import run_command

            return run_command(request)
        case Test():
            from aprgen.cli.test import test_command

            return test_command(request)
        case Wcet():
            from aprgen.cli.wcet import wcet_command

            return wcet_command(request)
        case Explore():
            from aprgen.cli.explore import explore_command

            return explore_command(request)
        case Tune():
            from aprgen.cli.tune import tune_command

            return tune_command(request)
        case Merge():
            from aprgen.cli.tune import merge_command

            return merge_command(request)
        case Evaluate():
            from aprgen.cli.tune import evaluate_command

            return evaluate_command(request)
        case Bundle():
            from aprgen.cli.bundle import bundle_command

            return bundle_command(request)
        case Inspect():
            from aprgen.cli.inspect import inspect_command

            return inspect_command(request)
        case Validate():
            from aprgen.cli.validate import validate_command

            return validate_command(request)
        case Convert():
            from aprgen.cli.convert import convert_command

            return convert_command(request)
        case Keygen():
            from aprgen.cli.protect import keygen_command

            return keygen_command(request)
        case Sign():
            from aprgen.cli.protect import sign_command

            return sign_command(request)
        case Encrypt():
            from aprgen.cli.protect import encrypt_command

            return encrypt_command(request)
        case Decrypt():
            from aprgen.cli.protect import decrypt_command

            return decrypt_command(request)
        case Loader():
            from aprgen.cli.loader import loader_command

            return loader_command(request)
        case Targets():
            from aprgen.cli.targets import targets_command

            return targets_command(request)


def _print_anything() -> None:
    """A terminal that cannot show a character gets its escape, not an exception."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _report(error: AprgenError, status: int) -> int:
    status = _flushed(status)
    for line in error.lines():
        print(visible(line), file=sys.stderr)
    return status


def _flushed(status: int) -> int:
    """The status, once all output is out. What cannot be written any more is dropped, here and at exit."""
    if sys.stdout is None:  # closed by whoever started us
        return status
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has enough
        _drop_output()
        return status or READER_GONE
    except OSError as error:
        _drop_output()
        print(f"error[output.unwritable]: cannot write the output: {error.strerror}", file=sys.stderr)
        print("  where: standard output", file=sys.stderr)
        print("  to do: check where it is redirected to", file=sys.stderr)
        return status or UsageError.exit_status
    return status


def _drop_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _described(error: Exception) -> AprgenError:
    """An exception that no stage expected, as three lines."""
    if isinstance(error, MemoryError):
        return UnsupportedError(
            "limit.memory", "there is not enough memory for this model", where="this machine", hint="use a larger one"
        )
    if isinstance(error, RecursionError):
        return UnsupportedError(
            "limit.depth", "the model is nested too deeply", where="the payload", hint="train a shallower model"
        )
    if isinstance(error, OSError) and error.strerror:
        where = str(error.filename) if error.filename is not None else "the file system"
        return UsageError("file.system", error.strerror, where=where, hint="check the path, its permissions and space")
    return AprgenError(
        "internal",
        f"{type(error).__name__}: {error}",
        where=_place(error),
        hint="this is a fault of aprgen: please report it, with what the same command prints with --debug",
    )


def _place(error: Exception) -> str:
    """The innermost line of the package, without the path to it."""
    package = Path(__file__).resolve().parents[1]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(package):
            return f"{path.relative_to(package.parent)}, line {frame.lineno}"
    return "aprgen"
