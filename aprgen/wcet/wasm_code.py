"""WebAssembly as code with addresses: operators with where they lead, and with their place on the stack of operands.

Function number n begins at address (n + 1) * 2^20, and operators lie behind it as in its body. Blocks, loops and ends
are there, but count as nothing; a function's own end counts as one, for the call. Knows nothing of counters and bounds.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from aprgen.errors import UnsupportedError
from aprgen.wasm import read_bodies
from aprgen.wcet.code import Architecture, Code, Function
from aprgen.wcet.instruction import STRUCTURE, Flow, Instruction, Slot, Undecoded
from aprgen.wcet.wasm_table import PLAIN, PREFIXED, Immediate, Row

_STEP = 1 << 20
_UNREACHABLE, _NOP, _BLOCK, _LOOP, _IF, _ELSE, _END, _BR, _BR_IF, _RETURN, _CALL = (
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x0B, 0x0C, 0x0D, 0x0F, 0x10,
)  # fmt: skip
_NO_RESULT = 0x40
_TYPES_OF_ONE = (0x7F, 0x7E, 0x7D, 0x7C, 0x7B)  # i32, i64, f32, f64, v128


@dataclass(frozen=True)
class Operator(Instruction):
    """name and constants: as in the text. height: values on the stack of operands before it.

    Registers are named l0, l1, ... (locals), g0, ... (globals) and s0, s1, ... (operands, from the bottom).
    """

    name: str = ""
    constants: tuple[int, ...] = ()
    height: int = 0


@dataclass(frozen=True)
class WasmFunction(Function):
    """signatures: how many values each function of the module takes and gives, by their numbers."""

    parameters: int = 0
    results: int = 0
    n_locals: int = 0
    signatures: tuple[tuple[int, int], ...] = ()


def read_wasm_code(path: Path) -> Code:
    """The functions of a linked module."""
    bodies = read_bodies(path)
    signatures = tuple((body.parameters, body.results) for body in bodies)
    functions = []
    for number, body in enumerate(bodies):
        if len(body.code) > _STEP:
            raise UnsupportedError(
                "wcet.size", f"{body.name} has {len(body.code)} bytes of operators", where=path.name,
                hint="functions of more than a megabyte are not analysed; choose a smaller model",
            )  # fmt: skip
        at = _address(number)
        functions.append(
            WasmFunction(
                body.name, (body.name,), at, body.code, (), body.parameters, body.results, body.n_locals, signatures
            )
        )
    return Code(path.name, "wasm", tuple(functions), ())


def _address(number: int) -> int:
    return (number + 1) * _STEP


@dataclass
class _Operation:
    """An operator as read: offset, size, opcode, constants, and its row of the table if it has one."""

    offset: int
    size: int
    opcode: int
    constants: tuple[int, ...]
    row: Row | None
    end: int | None = None  # of blocks: the offset of their end; of an `if`: also where it leads when false
    otherwise: int | None = None


@dataclass
class _Label:
    """What a branch can name: the operation that begins it, the stack below it, and whether it carries a value."""

    begin: _Operation | None  # None: the function
    height: int
    results: int


@functools.lru_cache(maxsize=4096)
def decode_slots(function: Function, architecture: Architecture) -> tuple[Slot, ...]:
    """Every operator of a function, with those that are not in the table as Undecoded; behind one all are."""
    assert isinstance(function, WasmFunction)
    operations = _operations(function.code)
    _match(operations)
    labels = [_Label(None, 0, function.results)]
    height = 0
    slots: list[Slot] = []
    for operation in operations:
        address = function.address + operation.offset
        if operation.row is None and operation.opcode not in _CONTROL:
            # A block that is not closed holds the unknown operator, which is the last.
            unknown = operations[-1].opcode
            slots.append(Undecoded(address, f"operator {unknown:#04x}" if unknown >= 0 else "block of several values"))
            break
        slot, height = _operator(function, operation, labels, height)
        slots.append(slot)
    return tuple(slots)


_CONTROL = (_UNREACHABLE, _NOP, _BLOCK, _LOOP, _IF, _ELSE, _END, _BR, _BR_IF, _RETURN, _CALL)
_INDEXED = (_BR, _BR_IF, _CALL)
_OPENING = (_BLOCK, _LOOP, _IF)


def _operations(code: bytes) -> list[_Operation]:
    """As far as they are known; an unknown opcode is the last, as nobody knows how long it is."""
    found = []
    at = 0
    while at < len(code):
        start, opcode = at, code[at]
        at += 1
        row: Row | None = PLAIN.get(opcode)
        constants: tuple[int, ...] = ()
        if opcode in PREFIXED:
            inner, at = _unsigned(code, at)
            row = PREFIXED[opcode].get(inner)
            opcode = opcode << 16 | inner
        if row is not None:
            constants, at = _constants(code, at, row.immediate)
        elif opcode in _INDEXED:
            constants, at = _constants(code, at, "index")
        elif opcode in _OPENING:
            kind = code[at]
            if kind != _NO_RESULT and kind not in _TYPES_OF_ONE:  # a block with several results
                opcode = -1
            constants, at = (0 if kind == _NO_RESULT else 1,), at + 1
        found.append(_Operation(start, at - start, opcode, constants, row))
        if row is None and opcode not in _CONTROL:
            break
    return found


def _match(operations: list[_Operation]) -> None:
    """Give every block the offset behind its else and of its end."""
    open_ones: list[_Operation] = []
    for operation in operations:
        if operation.opcode in _OPENING:
            open_ones.append(operation)
        elif operation.opcode == _ELSE and open_ones:
            open_ones[-1].otherwise = operation.offset + operation.size
        elif operation.opcode == _END and open_ones:
            begun = open_ones.pop()
            begun.end = operation.offset
    for operation in open_ones:  # behind them something is unknown
        operation.opcode = -1


def _operator(
    function: WasmFunction, operation: _Operation, labels: list[_Label], height: int
) -> tuple[Slot, int]:  # fmt: skip
    """The operator, and the height of the stack behind it; `labels` are kept up to date."""
    opcode, constants = operation.opcode, operation.constants
    if operation.row is not None:
        made = _plain(function, operation, operation.row, height)
        return made, height - operation.row.pops + operation.row.pushes
    match opcode:
        case _ if opcode in _OPENING:
            pops = int(opcode == _IF)
            labels.append(_Label(operation, height - pops, constants[0]))
            target = None
            if opcode == _IF:
                assert operation.end is not None
                target = operation.end if operation.otherwise is None else operation.otherwise
            flow: Flow = "conditional" if opcode == _IF else "next"
            kind = "alu" if opcode == _IF else STRUCTURE
            return _made(function, operation, height, _NAMES[opcode], flow, kind, target, pops=pops), height - pops
        case 0x05:
            label = labels[-1]
            assert label.begin is not None
            made = _made(function, operation, height, "else", "jump", STRUCTURE, label.begin.end)
            return made, label.height
        case 0x0B:
            label = labels.pop()
            if label.begin is None:
                return _made(function, operation, height, "end", "return", "alu"), 0
            return _made(function, operation, height, "end", "next", STRUCTURE), label.height + label.results
        case 0x0C | 0x0D:
            return _branch(function, operation, labels, height)
        case 0x0F:
            return _made(function, operation, height, "return", "return", "alu"), height
        case 0x10:
            if constants[0] >= len(function.signatures):
                return Undecoded(function.address + operation.offset, f"call {constants[0]}"), height
            pops, pushes = function.signatures[constants[0]]
            target = _address(constants[0]) - function.address
            made = _made(function, operation, height, "call", "call", "call", target, pops=pops, pushes=pushes)
            return made, height - pops + pushes
        case 0x00:
            return Undecoded(function.address + operation.offset, "unreachable"), height
    return _made(function, operation, height, "nop", "next", STRUCTURE), height


def _branch(
    function: WasmFunction, operation: _Operation, labels: list[_Label], height: int
) -> tuple[Slot, int]:  # fmt: skip
    """A branch leads to the begin of a loop, or to the end of any other block. Values it carries go down the stack."""
    depth = operation.constants[0]
    if depth >= len(labels):
        return Undecoded(function.address + operation.offset, f"br {depth}"), height
    label = labels[-1 - depth]
    conditional = operation.opcode == _BR_IF
    loops = label.begin is not None and label.begin.opcode == _LOOP
    moved = frozenset({f"s{label.height}"}) if label.results and not loops else frozenset[str]()
    if label.begin is None:
        end = len(function.code) - 1  # the function's own end
    else:
        target = label.begin.offset if loops else label.begin.end
        assert target is not None
        end = target
    made = _made(
        function, operation, height, "br_if" if conditional else "br", "conditional" if conditional else "jump", "alu",
        end, pops=int(conditional), moved=moved,
    )  # fmt: skip
    return made, height - int(conditional)


_NAMES = {_BLOCK: "block", _LOOP: "loop", _IF: "if"}


def _plain(function: WasmFunction, operation: _Operation, row: Row, height: int) -> Operator:
    constants = operation.constants
    moved = {"local": "l", "global": "g"}.get(row.name.partition(".")[0])
    gets = frozenset({f"{moved}{constants[0]}"}) if moved and row.name.endswith("get") else frozenset[str]()
    sets = frozenset({f"{moved}{constants[0]}"}) if moved and not gets else frozenset[str]()
    kind = "load" if row.loaded_bytes else "store" if row.stored_bytes else STRUCTURE if row.name == "drop" else "alu"
    return _made(
        function, operation, height, row.name, "next", kind, pops=row.pops, pushes=row.pushes, read=gets, moved=sets,
        loaded_bytes=row.loaded_bytes, stored_bytes=row.stored_bytes,
    )  # fmt: skip


def _made(
    function: WasmFunction, operation: _Operation, height: int, name: str, flow: Flow, kind: str,
    target: int | None = None, *, pops: int = 0, pushes: int = 0, read: frozenset[str] = frozenset(),
    moved: frozenset[str] = frozenset(), loaded_bytes: int = 0, stored_bytes: int = 0,
) -> Operator:  # fmt: skip
    low = height - pops
    return Operator(
        address=function.address + operation.offset,
        size=operation.size,
        text=" ".join((name, *(str(one) for one in operation.constants if name not in _SILENT))),
        kind=kind,
        registers=1,
        reads=frozenset(f"s{n}" for n in range(low, height)) | read,
        writes=frozenset(f"s{n}" for n in range(low, low + pushes)) | moved,
        predicated=False,
        flow=flow,
        target=None if target is None else function.address + target,
        literal=None,
        loads=int(loaded_bytes > 0),
        stores=int(stored_bytes > 0),
        loaded_bytes=loaded_bytes,
        stored_bytes=stored_bytes,
        name=name,
        constants=operation.constants,
        height=height,
    )


_SILENT = ("block", "loop", "if", "v128.const", "i8x16.shuffle", "memory.size")


def _constants(code: bytes, at: int, kind: Immediate) -> tuple[tuple[int, ...], int]:
    """The numbers behind an opcode, and where the next one begins. Of floats and vectors the bits."""
    match kind:
        case "":
            return (), at
        case "index":
            value, at = _unsigned(code, at)
            return (value,), at
        case "i32" | "i64":
            value, at = _signed(code, at)
            return (value,), at
        case "memory" | "memory lane":  # alignment, which changes nothing, and offset
            _, at = _unsigned(code, at)
            value, at = _unsigned(code, at)
            return ((value, code[at]), at + 1) if kind == "memory lane" else ((value,), at)
        case _:
            size = {"f32": 4, "f64": 8, "bytes": 16, "lane": 1, "zero": 1}[kind]
            return (int.from_bytes(code[at : at + size], "little"),), at + size


def _unsigned(code: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = code[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def _signed(code: bytes, at: int) -> tuple[int, int]:
    start = at
    value, at = _unsigned(code, at)
    bits = 7 * (at - start)
    return (value - (1 << bits) if value >> (bits - 1) else value), at
