"""Which blocks each call of a generated function executed, and in which context: what bounds are checked against.

Runs the linked image under Unicorn, or reads what the QEMU plugin of `recording` wrote. Knows nothing of control flow
graphs, loop bounds or cycles: those are claims, this is what happened.
"""

from __future__ import annotations

import hashlib
import importlib
import struct
import time
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from aprgen.elf import Elf, read_elf
from aprgen.errors import ToolchainError, UnsupportedError
from aprgen.image import Image
from aprgen.runners.execution import RUN_SECONDS, Records
from aprgen.runners.records import rows_of, texts_of
from aprgen.target import Target
from aprgen.wcet.code import Code, Function, code_of
from aprgen.wcet.instruction import Instruction, Undecoded, unknown_instruction
from aprgen.wcet.isa import decode_slots

NOWHERE = 0xFFFF_FFFF

_PAGE = 0x1000
_PAINTED = 1 << 16  # bytes of the stack, at most
_STOP = 0x0F00_0000  # where calls return to; nothing else is there
_SYSTEM_SPACE = 0xE000_E000  # where Cortex-M has its control registers
# As the target's rule for Unicorn names them.
_CPUS = {"cortex-m0": "M0", "cortex-m3": "M3", "cortex-m4": "M4", "cortex-m7": "M7", "cortex-m33": "M33"}
_DEADLINE_MASK = 0xFFFF  # look at the clock every so many blocks


@dataclass(frozen=True, order=True)
class Passage:
    """A straight run of instructions executed once, by the addresses of its first and last one, and of those executed
    before and after it, which are NOWHERE at the ends of a call."""

    before: int
    first: int
    last: int
    after: int


@dataclass(frozen=True, eq=False)
class Traces:
    """The calls of one function. Calls that took the same passages equally often share a path.

    paths: uint32 [paths, passages], how often. path_of_run: int64 [runs], in the order of the records.
    """

    function: str
    passages: tuple[Passage, ...]
    paths: NDArray[np.uint32]
    path_of_run: NDArray[np.int64]

    @property
    def n_runs(self) -> int:
        return len(self.path_of_run)


@dataclass(frozen=True, eq=False)
class Executed:
    """The instructions of an image by address, for walking along passages. Functions are decoded when reached."""

    code: Code
    decoded: dict[int, Mapping[int, Instruction | Undecoded]]

    def at(self, address: int) -> Instruction:
        """The instruction there; one that the table of instructions does not have is refused."""
        owner = self.code.owner(address)
        slot = None if owner is None else self._slots(owner).get(address)
        if slot is None:
            raise ToolchainError(
                "wcet.trace", f"the run executed {self.code.label(address)}, where no code was found",
                where=self.code.file, hint="analyse the program that was run, with its symbols",
            )  # fmt: skip
        if isinstance(slot, Undecoded):
            raise unknown_instruction(slot, self.code.label(address))
        return slot

    def _slots(self, function: Function) -> Mapping[int, Instruction | Undecoded]:
        found = self.decoded.get(function.address)
        if found is None:
            found = {slot.address: slot for slot in decode_slots(function, self.code.architecture)}
            self.decoded[function.address] = found
        return found

    def walk(self, first: int, last: int) -> Iterator[Instruction]:
        """The instructions of a passage."""
        address = first
        while address <= last:
            instruction = self.at(address)
            yield instruction
            address = instruction.end

    def last(self, block: int) -> int:
        """The address of the last instruction of a block, address << 16 | size."""
        return max(instruction.address for instruction in self.walk(block >> 16, (block >> 16) + (block & 0xFFFF) - 1))


    def in_front_of(self, address: int) -> int:
        """The address of the instruction that ends there; itself where none does."""
        owner = self.code.owner(address)
        slots = {} if owner is None else self._slots(owner)
        ends = (one.address for one in slots.values() if isinstance(one, Instruction) and one.end == address)
        return next(ends, address)

    def crosses(self, address: int) -> bool:
        """Whether the instruction there ends on another page than it begins on."""
        return address // _PAGE != (self.at(address).end - 1) // _PAGE


def executed_code(code: Code) -> Executed:
    """Everything in the program that can be executed."""
    return Executed(code, {})


def whole(traces: Traces, executed: Executed) -> Traces:
    """The same without instructions that were not executed: one of x86 that crosses a page has a block of its own, but
    QEMU 7.2 names it as the last one of the block before, too."""

    def own(passage: Passage) -> Passage:
        if passage.last == passage.after and passage.first != passage.last and executed.crosses(passage.last):
            passage = replace(passage, last=executed.in_front_of(passage.last))
        if passage.before == passage.first and executed.crosses(passage.first):
            passage = replace(passage, before=executed.in_front_of(passage.first))
        return passage

    return replace(traces, passages=tuple(own(passage) for passage in traces.passages))


def traced_cpu(target: Target) -> str | None:
    """The core as Unicorn knows it, by the target's rule for it; None where it knows none."""
    rules = [rule for rule in target.runs if rule.kind == "unicorn" and rule.machine == "arm"]
    return _CPUS.get(rules[0].cpu) if rules else None


def trace_calls(image: Image, function: str, records: Records, *, seconds: float = RUN_SECONDS) -> Traces:
    """Call NAME_<function> once per record under Unicorn: scores, classify, predict, or those of a text model.

    Functions of codes (scores_q, ...) take rows of their integers.

    A fault, a hang and a core that Unicorn does not have are errors.
    """
    machine = _Machine(image, time.monotonic() + seconds)
    paths = _Paths()
    for record in _records(image, records):
        machine.call(function, record)
        paths.add(machine.blocks)
    return paths.traces(function, executed_code(code_of(machine.elf, image.program.name)))


def painted_bytes(image: Image, function: str, records: Records, *, seconds: float = RUN_SECONDS) -> int:
    """Bytes from the caller's stack pointer to the lowest one that any of these calls wrote, under Unicorn.

    The stack is painted twice, in two colours: what a call writes can look like one of them, not like both.
    """
    machine = _Machine(image, time.monotonic() + seconds)
    return max(machine.used_stack(function, list(_records(image, records)), colour) for colour in (0xA5, 0x5A))


def execution_order(image: Image, function: str, records: Records) -> tuple[int, ...]:
    """The addresses of all instructions of the last of these calls, in order, under Unicorn."""
    machine = _Machine(image, time.monotonic() + RUN_SECONDS)
    for record in _records(image, records):
        machine.call(function, record)
    executed = executed_code(code_of(machine.elf, image.program.name))
    return tuple(
        instruction.address
        for block in machine.blocks
        for instruction in executed.walk(block >> 16, executed.last(block))
    )


def _records(image: Image, records: Records) -> Iterator[bytes]:
    if isinstance(records, np.ndarray) and records.dtype.kind == "i":  # codes of an integer mode
        yield from (row.tobytes() for row in records)
    elif image.model.kind == "row":
        yield from (row.tobytes() for row in rows_of(image.model, records))
    else:
        yield from texts_of(image.model, records)


class _Paths:
    """Collects calls, each a list of blocks, address << 16 | size."""

    def __init__(self) -> None:
        self.columns: dict[tuple[int, int, int], int] = {}  # block before, block, block after
        self.rows: dict[frozenset[tuple[int, int]], int] = {}
        self.orders: dict[bytes, int] = {}  # digests of calls seen before
        self.path_of_run: list[int] = []

    def add(self, blocks: Sequence[int]) -> None:
        digest = hashlib.blake2b(array("Q", blocks).tobytes(), digest_size=16).digest()
        number = self.orders.get(digest)
        if number is None:
            taken = Counter(zip((0, *blocks[:-1]), blocks, (*blocks[1:], 0), strict=True))
            row = frozenset((self.columns.setdefault(key, len(self.columns)), n) for key, n in taken.items())
            number = self.orders[digest] = self.rows.setdefault(row, len(self.rows))
        self.path_of_run.append(number)

    def traces(self, function: str, executed: Executed) -> Traces:
        paths = np.zeros((len(self.rows), len(self.columns)), np.uint32)
        for number, row in enumerate(self.rows):
            for column, count in row:
                paths[number, column] = count
        passages = tuple(
            Passage(
                executed.last(before) if before else NOWHERE,
                block >> 16,
                executed.last(block),
                after >> 16 if after else NOWHERE,
            )
            for before, block, after in self.columns
        )
        return merged(function, passages, paths, np.array(self.path_of_run, np.int64))


def merged(
    function: str, passages: Sequence[Passage], paths: NDArray[np.uint32], path_of_run: NDArray[np.int64]
) -> Traces:
    """Traces with every passage once, in ascending order."""
    order = {passage: number for number, passage in enumerate(sorted(set(passages)))}
    together = np.zeros((len(paths), len(order)), np.uint32)
    for column, passage in enumerate(passages):
        together[:, order[passage]] += paths[:, column]
    return Traces(function, tuple(order), together, path_of_run)


class _Machine:
    """An image in Unicorn, started up; `blocks` are those of the last call."""

    def __init__(self, image: Image, deadline: float) -> None:
        try:
            unicorn = importlib.import_module("unicorn")
            arm = importlib.import_module("unicorn.arm_const")
        except ImportError as error:
            raise ToolchainError(
                "wcet.unicorn", "the Python package unicorn is not installed", where="this machine",
                hint="pip install 'aprgen[wcet]', or leave the runs out",
            ) from error  # fmt: skip
        board = image.target.board
        cpu = traced_cpu(image.target)
        if board is None or cpu is None:
            raise UnsupportedError(
                "wcet.core", f"no runs can be traced for {image.target.name}", where=f"target {image.target.name}",
                hint=f"its target file needs a [board], and a [[run]] of kind unicorn, cpu {' or '.join(_CPUS)}",
            )  # fmt: skip
        self.image = image
        self.deadline = deadline
        self.unicorn = unicorn
        self.arm = arm
        self.elf: Elf = read_elf(image.program)
        self.blocks: list[int] = []
        self.uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        self.uc.ctl_set_cpu_model(getattr(arm, f"UC_CPU_ARM_CORTEX_{cpu}"))
        for origin, size in (
            (board.code_origin, board.code_bytes),
            (board.ram_origin, board.ram_bytes),
            (_STOP, _PAGE),
            (_SYSTEM_SPACE, _PAGE),
        ):
            self.uc.mem_map(origin // _PAGE * _PAGE, -(-size // _PAGE) * _PAGE)
        for segment in self.elf.segments:
            if segment.data:
                self.uc.mem_write(segment.address, segment.data)
        self.stack_top = board.ram_origin + board.ram_bytes
        self.stack_at = self.stack_top  # where calls begin, below arguments that no register holds
        self.at_end = max((s.address + s.size for s in self.elf.sections if s.placement in ("data", "bss")), default=0)
        self.at_in, self.at_out = self.elf.address("apr_in"), self.elf.address("apr_out")
        self.uc.hook_add(unicorn.UC_HOOK_BLOCK, self._on_block)
        self._go(self.elf.function("Reset_Handler").address, self.elf.function("apr_stream").address)

    def call(self, function: str, record: bytes) -> None:
        """One call, with its record in the harness's buffer."""
        self.uc.mem_write(self.at_in, record)
        arguments = self._arguments(function, len(record))
        for number, value in enumerate(arguments[:4]):
            self.uc.reg_write(self.arm.UC_ARM_REG_R0 + number, value)
        on_stack = struct.pack(f"<{len(arguments[4:])}I", *arguments[4:])
        self.stack_at = self.stack_top - (len(on_stack) + 7) // 8 * 8
        self.uc.mem_write(self.stack_at, on_stack)
        self.uc.reg_write(self.arm.UC_ARM_REG_LR, _STOP | 1)
        self._go(self.elf.function(self.image.model.symbol(function)).address, _STOP)

    def used_stack(self, function: str, records: Sequence[bytes], colour: int) -> int:
        """Of these calls, with the stack painted in that colour before."""
        room = min(_PAINTED, (self.stack_top - self.at_end) // 8 * 8)
        paint = bytes([colour]) * room
        self.uc.mem_write(self.stack_top - room, paint)
        for record in records:
            self.call(function, record)
        left = bytes(self.uc.mem_read(self.stack_top - room, room - (self.stack_top - self.stack_at)))
        return next((len(left) - number for number, byte in enumerate(left) if byte != colour), 0)

    def _arguments(self, function: str, record_bytes: int) -> tuple[int, ...]:
        model = self.image.model
        match function.removesuffix("_q"):
            case "scores":
                return (self.at_in, self.at_out)
            case "classify":
                return (self.at_in,)
            case "predict":
                return (self.at_in, model.n_features, self.at_out, model.n_outputs)
            case "scores_text":
                return (self.at_in, record_bytes, self.at_out)
            case "predict_text":
                return (self.at_in, record_bytes, self.at_out, model.n_outputs)
            case "suggest":  # as qemu/calls/suggest.c does
                k = model.n_suggestions
                scores, lengths, text = (self.at_out + 4 * words for words in (1, 1 + k, 1 + 2 * k))
                return (self.at_in, record_bytes, k, text, model.text_bytes, lengths, scores)
        raise UnsupportedError(
            "wcet.function", f"calls of {model.symbol(function)} cannot be traced", where=self.image.program.name,
            hint="traces are for scores, classify, predict, scores_text, predict_text and suggest",
        )  # fmt: skip

    def _on_block(self, uc: object, address: int, size: int, data: object) -> None:
        self.blocks.append(address << 16 | size)
        if not len(self.blocks) & _DEADLINE_MASK and time.monotonic() > self.deadline:
            self.uc.emu_stop()

    def _go(self, address: int, until: int) -> None:
        self.blocks.clear()
        self.uc.reg_write(self.arm.UC_ARM_REG_SP, self.stack_at)
        try:
            self.uc.emu_start(address | 1, until)
        except self.unicorn.UcError as error:
            at = self.uc.reg_read(self.arm.UC_ARM_REG_PC)
            raise ToolchainError(
                "run.failed", f"unicorn: {error} at {at:#010x}", where=self.image.program.name,
                hint="a fault in the generated code",
            ) from error  # fmt: skip
        if self.uc.reg_read(self.arm.UC_ARM_REG_PC) & ~1 != until or time.monotonic() > self.deadline:
            raise ToolchainError(
                "process.timeout", "the traced calls did not finish within the time limit",
                where=self.image.program.name, hint="trace fewer rows; Unicorn is slow",
            )  # fmt: skip


def steps(traces: Traces, executed: Executed) -> frozenset[tuple[int, int]]:
    """All pairs of instructions that were executed one after the other, in any call; the ends are NOWHERE."""
    found: set[tuple[int, int]] = set()
    for passage in traces.passages:
        inside = [instruction.address for instruction in executed.walk(passage.first, passage.last)]
        found.update(pairwise((passage.before, *inside, passage.after)))
    return frozenset(found)
