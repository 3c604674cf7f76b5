"""WebAssembly: node or wasmtime for the outputs, wasmtime's fuel for the count.

Knows the exports of qemu/wasm/platform.c. Fuel is a deterministic count of operators, not of instructions.
"""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aprgen.errors import ToolchainError
from aprgen.image import Image
from aprgen.resources import folder
from aprgen.runners.emulated import run_blocks
from aprgen.runners.execution import RUN_SECONDS, Counts, Execution, Records
from aprgen.runners.records import Block, Output, blocks_of, output_of, record_offsets
from aprgen.target import RunRule, Target

_FUEL_PER_SECOND = 200_000_000  # slower than any machine seen, so that the fuel ends no good run early
_NO_WASMTIME = "operators are counted by the Python package wasmtime, which is not installed"


@dataclass(frozen=True)
class Node:
    """JavaScript's engine outside the browser."""

    program: str

    @property
    def description(self) -> str:
        return "node"

    def run(self, image: Image, records: Records, *, count: bool = True, seconds: float = RUN_SECONDS) -> Execution:
        blocks = blocks_of(image, records)
        script = folder("qemu") / "node" / "run.mjs"
        command = (self.program, str(script), str(image.program.resolve()), str(len(image.model.every_function)))
        with tempfile.TemporaryDirectory(dir=image.folder, prefix="run-") as name:
            output = run_blocks(image, command, blocks, len(records), Path(name), seconds)
        counts: dict[str, Counts] = {}
        uncounted = "not asked for" if not count else "" if _has_wasmtime() else _NO_WASMTIME
        if not uncounted:
            counted, counts = _run_module(image, blocks, len(records), count=True, seconds=seconds)
            if not counted.same_results(output):
                raise ToolchainError(
                    "run.disagree", "node and wasmtime give different outputs", where=image.program.name,
                    hint="one of the two engines is at fault",
                )  # fmt: skip
        return _execution(output, counts, uncounted, self.description)


@dataclass(frozen=True)
class Wasmtime:
    """The Python package wasmtime."""

    @property
    def description(self) -> str:
        return "wasmtime"

    def run(self, image: Image, records: Records, *, count: bool = True, seconds: float = RUN_SECONDS) -> Execution:
        blocks = blocks_of(image, records)
        output, counts = _run_module(image, blocks, len(records), count=count, seconds=seconds)
        return _execution(output, counts, "" if count else "not asked for", self.description)


def find_node(target: Target, rule: RunRule, search_path: str | None) -> Node | str:
    program = shutil.which(rule.program, path=search_path)
    return f"{rule.program} is not on PATH" if program is None else Node(program)


def find_wasmtime(target: Target, rule: RunRule, search_path: str | None) -> Wasmtime | str:
    return Wasmtime() if _has_wasmtime() else "the Python package wasmtime is not installed"


def _has_wasmtime() -> bool:
    return importlib.util.find_spec("wasmtime") is not None


def _execution(output: Output, counts: dict[str, Counts], uncounted: str, description: str) -> Execution:
    return Execution(
        output.scores, output.labels, output.suggestions, counts, uncounted, output.stack_bytes, description,
        batch=output.batch,
    )  # fmt: skip


def _run_module(
    image: Image, blocks: Sequence[Block], records: int, *, count: bool, seconds: float
) -> tuple[Output, dict[str, Counts]]:
    wasmtime = importlib.import_module("wasmtime")  # optional, and slow to import
    try:
        return _Module(image, seconds).run(blocks, records, count)
    except (wasmtime.WasmtimeError, wasmtime.Trap) as error:
        text = str(error)
        out_of_fuel = "fuel" in text
        raise ToolchainError(
            "process.timeout" if out_of_fuel else "run.failed",
            f"wasmtime did not finish within the operators of {seconds:g} s" if out_of_fuel else
            f"wasmtime: {' '.join(text.split())[:300]}",
            where=image.program.name,
            hint="the program hangs" if out_of_fuel else "a fault in the generated code",
        ) from error  # fmt: skip


class _Module:
    """One instance of an image in wasmtime, with fuel as clock."""

    def __init__(self, image: Image, seconds: float) -> None:
        wasmtime = importlib.import_module("wasmtime")
        config = wasmtime.Config()
        config.consume_fuel = True
        engine = wasmtime.Engine(config)
        self.store = wasmtime.Store(engine)
        self.store.set_fuel(int(seconds * _FUEL_PER_SECOND))
        module = wasmtime.Module(engine, image.program.read_bytes())
        self.exports = wasmtime.Instance(self.store, module, []).exports(self.store)
        self.image = image

    def call(self, name: str, *arguments: int) -> int:
        result = self.exports[name](self.store, *arguments)
        return result if isinstance(result, int) else 0

    def fuel_of(self, name: str, *arguments: int) -> int:
        before = int(self.store.get_fuel())
        self.call(name, *arguments)
        return before - int(self.store.get_fuel())

    def run(self, blocks: Sequence[Block], records: int, count: bool) -> tuple[Output, dict[str, Counts]]:
        model = self.image.model
        memory = self.exports["memory"]
        at_in, at_out, at_stack = (self.call(f"apr_{part}_address") for part in ("in", "out", "stack"))
        parts = []
        fuel: dict[str, list[int]] = {function: [] for function in model.functions}
        for block in blocks:
            memory.write(self.store, block.data, at_in)
            n_words = self.call("apr_run_block", block.n_records)
            parts.append(bytes(memory.read(self.store, at_out, at_out + 4 * n_words)))
            if count:
                for function in model.functions:
                    # The same frames with an empty function inside: the difference is the model's.
                    empty = self.fuel_of(f"apr_skip_{function}", at_in, at_out)
                    for offset in record_offsets(model, block):
                        fuel[function].append(self.fuel_of(f"apr_call_{function}", at_in + offset, at_out) - empty)
        parts.append(bytes(memory.read(self.store, at_stack, at_stack + 8 * len(model.every_function))))
        output = output_of(self.image, records, blocks, b"".join(parts))
        if not count:
            return output, {}
        rows = np.arange(records)
        return output, {
            name: Counts(rows, np.array(values, dtype=np.uint64), "wasm operators") for name, values in fuel.items()
        }
