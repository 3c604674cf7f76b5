"""What WebAssembly operators do to counters, and the two facts that follow: how often loops run, and the stack.

Operands lie at places that are known, so that they are registers like locals; both are out of reach of stores. What is
read here of a loop's counter is therefore a proof. Values are i32; nothing is known of others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from aprgen.errors import UnsupportedError
from aprgen.wcet.counters import OPPOSITE, Constant, Opinion, Reader, Test, Value, View, moved
from aprgen.wcet.graph import Frame
from aprgen.wcet.wasm_code import Operator, WasmFunction

if TYPE_CHECKING:
    from aprgen.wcet.code import Code
    from aprgen.wcet.graph import Block, Graph
    from aprgen.wcet.instruction import Instruction
    from aprgen.wcet.marks import LoopFact

_BITS = 32
_STACK_POINTER = "g0"  # the linker's first global
_OF_ENTRY = f"{_STACK_POINTER}@-1"
_CONDITIONS = {
    "i32.eq": "eq", "i32.ne": "ne", "i32.lt_s": "lt", "i32.lt_u": "lo", "i32.gt_s": "gt", "i32.gt_u": "hi",
    "i32.le_s": "le", "i32.le_u": "ls", "i32.ge_s": "ge", "i32.ge_u": "hs",
}  # fmt: skip


def opinions(facts: Sequence[LoopFact], graph: Graph, constant: Constant) -> tuple[Opinion, ...]:
    """None: there are no marks in a module. Its loops are bounded by `loop_bounds` alone."""
    return tuple(Opinion(fact, "unknown", None, "a module has no marks") for fact in facts)


def loop_bounds(code: Code, graph: Graph) -> Mapping[int, int]:
    """Ways back to the head of each loop, at most, per entry. UnsupportedError names a loop without a counter."""
    view = _view(code, graph)
    bounds = {}
    for loop in graph.loops:
        complete = view.complete_tests(loop)
        if not complete:
            raise UnsupportedError(
                "wcet.loop", f"no counter bounds the loop at {code.label(loop.head)}",
                where=f"{graph.name} at {loop.head:#x}",
                hint="WebAssembly has no marks of loops, so that each needs a counter in its locals; "
                "choose a target with gcc, such as host",
            )  # fmt: skip
        bounds[loop.head] = min(complete) - 1
    return bounds


def frame_of(graph: Graph, code: Code) -> Frame:
    """Bytes of linear memory below the stack pointer of entry, and at calls; refused where they are not constant."""
    view = _view(code, graph)
    deepest = 0
    at_calls = {}
    for start, block in graph.blocks.items():
        for operator, held in view.steps(start):
            for base, distance in _results(operator, held).values():
                if base == _OF_ENTRY:
                    deepest = max(deepest, -distance)
            base, distance = held(_STACK_POINTER)
            if base != _OF_ENTRY or (operator.flow == "return" and distance != 0) or distance > 0:
                raise UnsupportedError(
                    "wcet.stack", "the stack pointer is not a constant, or not what it was, at "
                    f"{operator.text}", where=f"{graph.name} at {operator.address:#x}",
                    hint="use no variable length arrays, alloca or hand-written assembly in what is analysed",
                )  # fmt: skip
            if operator.flow == "call":
                at_calls[block.start] = -distance
    return Frame(deepest, at_calls)


def _view(code: Code, graph: Graph) -> View:
    """Locals that are no parameters begin as zero. A callee gives the stack pointer back, or has no frame."""
    function = code.owner(graph.entry)
    assert isinstance(function, WasmFunction)
    zero = range(function.parameters, function.parameters + function.n_locals)
    initial: dict[str, Value] = {f"l{number}": ("", 0) for number in zero}
    return View(graph, Reader(_BITS, _test, lambda one: one.writes, _results, initial))


def _results(instruction: Instruction, held: Callable[[str], Value]) -> Mapping[str, Value]:
    assert isinstance(instruction, Operator)
    top, below = f"s{instruction.height - 1}", f"s{instruction.height - 2}"
    pushed = f"s{instruction.height}"
    number = instruction.constants[0] if instruction.constants else 0
    match instruction.name:
        case "local.get":
            return {pushed: held(f"l{number}")}
        case "local.set":
            return {f"l{number}": held(top)}
        case "local.tee":
            return {f"l{number}": held(top), top: held(top)}
        case "global.get":
            return {pushed: held(f"g{number}")}
        case "global.set":
            return {f"g{number}": held(top)}
        case "i32.const":
            return {pushed: ("", number % (1 << _BITS))}
        case "i32.add" if held(top)[0] == "":
            return {below: moved(held(below), held(top)[1], _BITS)}
        case "i32.add" if held(below)[0] == "":
            return {below: moved(held(top), held(below)[1], _BITS)}
        case "i32.sub" if held(top)[0] == "":
            return {below: moved(held(below), -held(top)[1], _BITS)}
        case "i32.shl" if held(top)[0] == held(below)[0] == "":
            return {below: ("", (held(below)[1] << held(top)[1] % _BITS) % (1 << _BITS))}
    return {}


def _test(block: Block) -> Test | None:
    """What br_if or if decide by: a comparison, or an operand that is zero or not."""
    last = block.last
    assert isinstance(last, Operator)
    if last.name not in ("br_if", "if"):
        return None
    found = _decider(block.instructions[:-1], f"s{last.height - 1}")
    test = found or Test("ne", f"s{last.height - 1}", ("", 0), last.address)
    if last.name == "br_if":
        return test
    return Test(OPPOSITE[test.condition], test.left, test.right, test.address)  # `if` jumps when it does not hold


def _decider(instructions: Sequence[Instruction], operand: str) -> Test | None:
    """The comparison among these that made the operand last."""
    for number in reversed(range(len(instructions))):
        operator = instructions[number]
        assert isinstance(operator, Operator)
        if operand not in operator.writes or operator.name == "local.tee":
            continue
        if operator.name == "i32.eqz":
            negated = _decider(instructions[:number], operand)
            if negated is not None:
                return Test(OPPOSITE[negated.condition], negated.left, negated.right, negated.address)
            return Test("eq", operand, ("", 0), operator.address)
        if operator.name in _CONDITIONS:
            left, right = f"s{operator.height - 2}", f"s{operator.height - 1}"
            return Test(_CONDITIONS[operator.name], left, right, operator.address)
        return None
    return None
