"""Unicorn, the fallback where no QEMU is: calls the harness's caller functions one record at a time.

It is a processor, not a board: the image's own start-up code runs, its input and output do not. Instructions are
counted per block; the per-instruction hook would miss the members of IT blocks that are not taken.
"""

from __future__ import annotations

import importlib
import importlib.util
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aprgen.elf import Elf, read_elf
from aprgen.errors import ToolchainError
from aprgen.image import Image
from aprgen.runners.execution import RUN_SECONDS, Counts, Execution, Records
from aprgen.runners.records import Block, blocks_of, output_of, record_offsets
from aprgen.target import RunRule, Target

_PAGE = 0x1000
_PATTERN = b"\x3c\x5a\xc3\xa5"
_NO_BOARD = "Unicorn is a processor without a board: start-up and input and output of the board are not tested"
_STOP = 0x0F00_0000  # where calls return to; nothing else is there
_HOSTED_STACK = 0x7F00_0000
_HOSTED_STACK_BYTES = 0x10_0000
_SYSTEM_SPACE = 0xE000_E000  # where Cortex-M has its control registers


@dataclass(frozen=True)
class UnicornRunner:
    rule: RunRule

    @property
    def description(self) -> str:
        return f"unicorn, cpu {self.rule.cpu} (no board)"

    def run(self, image: Image, records: Records, *, count: bool = True, seconds: float = RUN_SECONDS) -> Execution:
        blocks = blocks_of(image, records)
        machine = _Machine(image, self.rule, time.monotonic() + seconds)
        data = machine.run(blocks, count)
        output = output_of(image, len(records), blocks, data)
        rows = np.arange(len(records))
        counts = {
            function: Counts(rows, np.array(values, dtype=np.uint64), "instructions")
            for function, values in machine.counts.items()
        }
        return Execution(
            output.scores,
            output.labels,
            output.suggestions,
            counts if count else {},
            "" if count else "not asked for",
            output.stack_bytes,
            self.description,
            (_NO_BOARD,),
            output.batch,
        )


def find_unicorn(target: Target, rule: RunRule, search_path: str | None) -> UnicornRunner | str:
    missing = [name for name in ("unicorn", "capstone") if importlib.util.find_spec(name) is None]
    return f"the Python package {missing[0]} is not installed" if missing else UnicornRunner(rule)


@dataclass(frozen=True)
class _Processor:
    """What differs between the processors: constants of Unicorn and Capstone, and where registers are."""

    architecture: int
    mode: int
    cpu: int
    disassembler: tuple[int, int]
    arguments: tuple[int, int, int]
    stack_pointer: int
    link: int
    program_counter: int
    thumb: int


def _processor(rule: RunRule) -> _Processor:
    capstone = importlib.import_module("capstone")
    unicorn = importlib.import_module("unicorn")
    a64 = importlib.import_module("unicorn.arm64_const")
    arm = importlib.import_module("unicorn.arm_const")

    if rule.machine == "arm64":
        cpus = {"cortex-a72": a64.UC_CPU_ARM64_A72}
    else:
        cpus = {
            "cortex-m0": arm.UC_CPU_ARM_CORTEX_M0,
            "cortex-m3": arm.UC_CPU_ARM_CORTEX_M3,
            "cortex-m4": arm.UC_CPU_ARM_CORTEX_M4,
            "cortex-m7": arm.UC_CPU_ARM_CORTEX_M7,
            "cortex-m33": arm.UC_CPU_ARM_CORTEX_M33,
        }
    if rule.cpu not in cpus:
        raise ToolchainError(
            "runner.cpu", f"unicorn has no cpu {rule.cpu!r} for {rule.machine!r}", where="run of the target file",
            hint=f"use one of: {', '.join(cpus)}",
        )  # fmt: skip
    if rule.machine == "arm64":
        return _Processor(
            unicorn.UC_ARCH_ARM64,
            unicorn.UC_MODE_ARM,
            cpus[rule.cpu],
            (capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM),
            (a64.UC_ARM64_REG_X0, a64.UC_ARM64_REG_X1, a64.UC_ARM64_REG_X2),
            a64.UC_ARM64_REG_SP,
            a64.UC_ARM64_REG_X30,
            a64.UC_ARM64_REG_PC,
            0,
        )
    return _Processor(
        unicorn.UC_ARCH_ARM,
        unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS,
        cpus[rule.cpu],
        (capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS),
        (arm.UC_ARM_REG_R0, arm.UC_ARM_REG_R1, arm.UC_ARM_REG_R2),
        arm.UC_ARM_REG_SP,
        arm.UC_ARM_REG_LR,
        arm.UC_ARM_REG_PC,
        1,
    )


class _Machine:
    """An image loaded into Unicorn, and what was measured on it."""

    def __init__(self, image: Image, rule: RunRule, deadline: float) -> None:
        capstone = importlib.import_module("capstone")
        unicorn = importlib.import_module("unicorn")

        self.image = image
        self.deadline = deadline
        self.elf = read_elf(image.program)
        self.processor = _processor(rule)
        self.uc = unicorn.Uc(self.processor.architecture, self.processor.mode)
        self.uc.ctl_set_cpu_model(self.processor.cpu)
        self.disassembler = capstone.Cs(*self.processor.disassembler)
        self.counts: dict[str, list[int]] = {function: [] for function in image.model.functions}
        self.executed = 0
        self.block_sizes: dict[tuple[int, int], int] = {}
        self.caller = (0, 0)
        self.stack_low, self.stack_top = self._load(self.elf)

    def _load(self, elf: Elf) -> tuple[int, int]:
        """Map memory, load the image, run its start-up code if it has a board; the stack's bounds."""
        board = self.image.target.board
        pages: set[int] = set()
        self._map(pages, _STOP, 4)
        if board is None:
            for segment in elf.segments:
                self._map(pages, segment.address, segment.memory_size)
        else:
            self._map(pages, board.code_origin, board.code_bytes)
            self._map(pages, board.ram_origin, board.ram_bytes)
            self._map(pages, _SYSTEM_SPACE, _PAGE)
        for segment in elf.segments:
            if segment.data:
                self.uc.mem_write(segment.address, segment.data)
        if board is None:
            self._map(pages, _HOSTED_STACK - _HOSTED_STACK_BYTES, _HOSTED_STACK_BYTES)
            self._choose(elf)
            return _HOSTED_STACK - _HOSTED_STACK_BYTES, _HOSTED_STACK
        top = board.ram_origin + board.ram_bytes
        self._go(elf.function("Reset_Handler").address, elf.function("apr_stream").address, top)
        return elf.address("apr_link_bss_end"), top

    def _choose(self, elf: Elf) -> None:
        """Do what the C library's start-up code does, without which memset would call itself for ever."""
        for word, function in elf.chosen:
            self._call(function, (0, 0), _HOSTED_STACK)
            chosen = int(self.uc.reg_read(self.processor.arguments[0]))
            self.uc.mem_write(word, chosen.to_bytes(8, "little"))

    def _map(self, pages: set[int], address: int, size: int) -> None:
        first, last = address // _PAGE, (address + max(size, 1) - 1) // _PAGE
        wanted = [page for page in range(first, last + 1) if page not in pages]
        pages.update(wanted)
        start = 0
        for i in range(1, len(wanted) + 1):  # runs of pages, as each map call costs
            if i == len(wanted) or wanted[i] != wanted[i - 1] + 1:
                self.uc.mem_map(wanted[start] * _PAGE, (i - start) * _PAGE)
                start = i

    def _go(self, address: int, until: int, stack_pointer: int) -> None:
        """Execute until an address, with the deadline as time limit; anything else is a ToolchainError."""
        unicorn = importlib.import_module("unicorn")

        self.uc.reg_write(self.processor.stack_pointer, stack_pointer)
        remaining = self.deadline - time.monotonic()
        try:
            self.uc.emu_start(address | self.processor.thumb, until, timeout=max(1, int(remaining * 1_000_000)))
        except unicorn.UcError as error:
            at = self.uc.reg_read(self.processor.program_counter)
            raise ToolchainError(
                "run.failed", f"unicorn: {error} at {at:#010x}", where=self.image.program.name,
                hint="a fault in the generated code",
            ) from error  # fmt: skip
        if self.uc.reg_read(self.processor.program_counter) & ~1 != until:
            raise ToolchainError(
                "process.timeout", "unicorn did not finish within the time limit", where=self.image.program.name,
                hint="the program hangs, or fewer rows must do: unicorn is slow",
            )  # fmt: skip

    def _call(self, function: int, arguments: Sequence[int], stack_top: int) -> None:
        for register, value in zip(self.processor.arguments, arguments, strict=False):
            self.uc.reg_write(register, value)
        self.uc.reg_write(self.processor.link, _STOP | self.processor.thumb)
        self._go(function, _STOP, stack_top)

    def _on_block(self, uc: object, address: int, size: int, data: object) -> None:
        if self.caller[0] <= address < self.caller[1]:
            return
        n = self.block_sizes.get((address, size))
        if n is None:
            n = len(tuple(self.disassembler.disasm_lite(bytes(self.uc.mem_read(address, size)), address)))
            self.block_sizes[address, size] = n
        self.executed += n

    def _paint(self) -> None:
        n = (self.stack_top - self.stack_low) // 4
        self.uc.mem_write(self.stack_low, _PATTERN * n)

    def _lowest_used(self) -> int:
        size = (self.stack_top - self.stack_low) // 4 * 4
        words = np.frombuffer(bytes(self.uc.mem_read(self.stack_low, size)), "<u4")
        used = np.flatnonzero(words != int.from_bytes(_PATTERN, "little"))
        return self.stack_low + 4 * int(used[0]) if len(used) else self.stack_top

    def run(self, blocks: Sequence[Block], count: bool) -> bytes:
        """The bytes that the harness would have written."""
        unicorn = importlib.import_module("unicorn")

        if count:
            self.uc.hook_add(unicorn.UC_HOOK_BLOCK, self._on_block)
        at_in, at_out = self.elf.address("apr_in"), self.elf.address("apr_out")
        model = self.image.model
        stack: dict[str, int] = dict.fromkeys(model.every_function, 0)
        parts = []
        for block in blocks:
            self.uc.mem_write(at_in, block.data)
            offsets = record_offsets(model, block)
            for function in model.every_function:
                empty = self._stack_of(f"apr_skip_{function}", [(at_in, at_out)], None)
                out_bytes = 4 * model.out_words(function)
                counts = self.counts.get(function)
                calls: list[tuple[int, ...]] = [
                    (at_in + offset, at_out + number * out_bytes) for number, offset in enumerate(offsets)
                ]
                if function in model.batch_functions:
                    calls = [(at_in, block.n_records, at_out)]
                used = self._stack_of(f"apr_call_{function}", calls, counts)
                stack[function] = max(stack[function], used - empty)
                parts.append(bytes(self.uc.mem_read(at_out, out_bytes * block.n_records)))
        window = self.stack_top - self.stack_low
        parts += [np.array([used, window], "<u4").tobytes() for used in stack.values()]
        return b"".join(parts)

    def _stack_of(self, name: str, calls: Sequence[tuple[int, ...]], counts: list[int] | None) -> int:
        """Make the calls, of these arguments; the bytes of stack that were written."""
        caller = self.elf.function(name)
        self.caller = (caller.address, caller.address + caller.size)
        self._paint()
        for arguments in calls:
            before = self.executed
            self._call(caller.address, arguments, self.stack_top)
            if counts is not None:
                counts.append(self.executed - before)
        return self.stack_top - self._lowest_used()
