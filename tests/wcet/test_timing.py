"""Timing tables: rows against sequences counted by hand from the manuals, and what a table refuses."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from aprgen.errors import UnsupportedError, UsageError
from aprgen.resources import folder
from aprgen.wcet.cost import block_cycles
from aprgen.wcet.decode import KINDS, decode_function
from aprgen.wcet.instruction import Instruction
from aprgen.wcet.memory import Memory
from aprgen.wcet.timing import (
    Cycles,
    Figures,
    base_cycles,
    context_cycles,
    instruction_cycles,
    load_timing,
    read_timing,
    timing_cores,
    with_figures,
)
from tests.wcet.assembled import CORES as ASSEMBLED
from tests.wcet.assembled import linked
from tests.wcet.manual_figures import FIGURES, PAIRS
from tests.wcet.shapes import instruction, straight

NO_WAIT = Memory(0, 4)
CORES = ("cortex-m0plus", "cortex-m3", "cortex-m33", "cortex-m4")
ARCHITECTURES = {core: architecture for architecture, core in ASSEMBLED.items()}
V7M = ("cortex-m3", "cortex-m4")


def _block(core: str, *instructions: Instruction, taken: bool = False) -> tuple[int, int]:
    cycles = block_cycles(instructions, taken, load_timing(core), NO_WAIT)
    return cycles.best, cycles.worst


def _path(core: str) -> Path:
    return folder("targets") / "timing" / f"{core}.toml"


def test_cores() -> None:
    """Four cores have a table."""
    assert CORES == timing_cores()


@pytest.mark.parametrize("core", CORES)
def test_rows_are_of_the_decoder(core: str) -> None:
    """Every row is of a kind that the decoder makes."""
    assert set() == set(load_timing(core).rows) - set(KINDS)


def test_m4_has_every_kind() -> None:
    """The Cortex-M4 table has every kind but one that came with Armv8-M."""
    assert {"fp_select"} == set(KINDS) - set(load_timing("cortex-m4").rows)


@pytest.mark.parametrize("core", CORES)
def test_best_is_not_above_worst(core: str) -> None:
    """No row takes longer in the best case than in the worst, and none is free in the worst."""
    for row in load_timing(core).rows.values():
        assert row.cycles.best <= row.cycles.worst
        assert row.cycles.worst + row.each > 0


@pytest.mark.parametrize("core", CORES)
def test_sources(core: str) -> None:
    """Every row, hazard and interval names its source."""
    table = tomllib.loads(_path(core).read_text(encoding="utf-8"))
    entries = [*table["rows"].values(), *table["hazards"].values(), table["refill"], table["skipped"]]
    assert all(entry["source"] for entry in entries)
    assert table["sources"]


# Counted by hand from the instruction set summaries of the technical reference manuals: (best, worst).
@pytest.mark.parametrize(
    ("core", "kinds", "expected"),
    [
        ("cortex-m0plus", ("alu", "load", "alu", "store"), (4, 6)),
        ("cortex-m0plus", ("alu", "mul"), (2, 33)),
        ("cortex-m3", ("alu", "alu", "nop"), (3, 3)),
        ("cortex-m3", ("load", "load", "store"), (3, 6)),
        ("cortex-m3", ("mul", "mla", "mul_long", "mla_long"), (1 + 2 + 3 + 4, 1 + 2 + 5 + 7)),
        ("cortex-m3", ("div",), (2, 12)),
        ("cortex-m3", ("it", "alu"), (1, 2)),
        ("cortex-m4", ("mul", "mla", "mul_long", "mla_long"), (4, 4)),
        ("cortex-m4", ("load_double", "store_double"), (4, 6)),
        ("cortex-m4", ("fp_load", "fp_mul", "fp_add", "fp_store"), (4, 6)),
        ("cortex-m4", ("fp_mac", "fp_div", "fp_sqrt"), (3 + 1 + 1, 3 + 14 + 14)),
        ("cortex-m4", ("fp_move_core", "fp_compare", "fp_status"), (3, 4)),
    ],
)
def test_straight_line(core: str, kinds: tuple[str, ...], expected: tuple[int, int]) -> None:
    """Instructions that do not depend on each other take the sum of their rows."""
    assert expected == _block(core, *straight(*kinds))


@pytest.mark.parametrize(
    ("core", "kind", "words", "expected"),
    [
        ("cortex-m0plus", "push", 4, (5, 5)),
        ("cortex-m0plus", "load_multiple", 3, (4, 4)),
        ("cortex-m3", "push", 5, (5, 6)),
        ("cortex-m4", "fp_load_multiple", 8, (8, 9)),
        ("cortex-m33", "store_multiple", 4, (4, 4)),
    ],
)
def test_transfers_of_several(core: str, kind: str, words: int, expected: tuple[int, int]) -> None:
    """A transfer of N registers takes 1 + N cycles, on the Cortex-M33 N."""
    assert expected == _block(core, instruction(kind, registers=words))


@pytest.mark.parametrize(
    ("core", "taken", "untaken", "jump", "call", "back"),
    [
        ("cortex-m0plus", (2, 2), (1, 1), (2, 2), (3, 3), (2, 2)),
        ("cortex-m3", (2, 4), (1, 1), (2, 4), (2, 4), (2, 4)),
        ("cortex-m4", (2, 4), (1, 1), (2, 4), (2, 4), (2, 4)),
        ("cortex-m33", (1, 3), (0, 1), (1, 3), (1, 3), (1, 3)),
    ],
)
def test_transfers_of_control(
    core: str,
    taken: tuple[int, int],
    untaken: tuple[int, int],
    jump: tuple[int, int],
    call: tuple[int, int],
    back: tuple[int, int],
) -> None:
    """Branches, calls and returns take the manual's figure; 1 + P with P from 1 to 3 on v7-M."""
    conditional = instruction("conditional", flow="conditional")
    assert taken == _block(core, conditional, taken=True)
    assert untaken == _block(core, conditional, taken=False)
    assert jump == _block(core, instruction("branch", flow="jump"), taken=True)
    assert call == _block(core, instruction("call", flow="call"), taken=False)
    assert back == _block(core, instruction("return", flow="return"), taken=True)


@pytest.mark.parametrize(
    ("core", "expected"), [("cortex-m0plus", (6, 6)), ("cortex-m3", (4, 7)), ("cortex-m4", (4, 7))]
)
def test_pop_with_pc(core: str, expected: tuple[int, int]) -> None:
    """POP {r4, r5, pc} takes 3 + N on the Cortex-M0+, 1 + N + P on v7-M, N with the PC among them."""
    assert expected == _block(core, instruction("pop", registers=3, flow="return"), taken=True)


def test_load_to_pc() -> None:
    """LDR pc, [sp], #4 takes 2 + P."""
    assert (2, 5) == _block("cortex-m4", instruction("load", addresses="sp", flow="return"), taken=True)


def test_return_whose_condition_fails() -> None:
    """A predicated return that is not taken takes one cycle."""
    pop = instruction("pop", registers=3, flow="return", predicated=True)
    assert (1, 1) == _block("cortex-m4", pop, taken=False)


def test_predicated() -> None:
    """A predicated load may be skipped in the best case and is executed in the worst."""
    assert (1, 12) == _block("cortex-m4", instruction("div", predicated=True))


@pytest.mark.parametrize("core", V7M)
def test_address_from_alu(core: str) -> None:
    """An address made or moved by the instruction just before costs a cycle; one loaded, or used as data, does not."""
    table = load_timing(core)
    add = instruction("alu", 0, writes="r1")
    load = instruction("load", 2, addresses="r1", writes="r2")
    store = instruction("store", 4, reads="r2", addresses="r3")
    assert 1 == context_cycles(table, load, add)
    assert 1 == context_cycles(table, load, instruction("store", 0, addresses="r1", writes="r1"))
    assert 0 == context_cycles(table, instruction("load", 4, addresses="r2"), load)
    assert 0 == context_cycles(table, store, instruction("alu", 2, writes="r2"))
    assert 0 == context_cycles(table, load, None)


def test_no_forwarding_stall_on_m0plus() -> None:
    """The Cortex-M0+ has no stall after address computations."""
    load = instruction("load", 2, addresses="r1")
    assert 0 == context_cycles(load_timing("cortex-m0plus"), load, instruction("alu", 0, writes="r1"))


def test_late_float_result() -> None:
    """A floating-point result costs the next instruction a cycle if it wants it, and the one after that nothing."""
    multiply = instruction("fp_mul", 0, size=4, writes="s0")
    add = instruction("fp_add", 4, size=4, reads="s0 s1", writes="s2")
    other = instruction("fp_add", 4, size=4, reads="s3 s1", writes="s4")
    table = load_timing("cortex-m4")
    assert 1 == context_cycles(table, add, multiply)
    assert 0 == context_cycles(table, other, multiply)


def test_literal() -> None:
    """A load from the constants behind the code may wait for the fetch: a cycle more."""
    assert (1, 3) == _block("cortex-m3", instruction("load", literal=64))
    assert (1, 2) == _block("cortex-m0plus", instruction("load", literal=64))


@pytest.mark.parametrize("core", V7M)
def test_wide_instructions(core: str) -> None:
    """32-bit instructions off word boundaries cost a cycle when jumped to, and each one that follows another."""
    table = load_timing(core)
    first, second = instruction(address=2, size=4), instruction(address=6, size=4)
    aligned, narrow = instruction(address=4, size=4), instruction(address=0)
    assert 1 == context_cycles(table, first, None)
    assert 1 == context_cycles(table, second, first)
    assert 0 == context_cycles(table, first, narrow)
    assert 0 == context_cycles(table, aligned, None)
    assert 0 == context_cycles(table, narrow, None)


def test_multiplier_option() -> None:
    """The multiplier of the Cortex-M0+ is 32 cycles unless said otherwise, and the assumption says so."""
    open_choice, fast = load_timing("cortex-m0plus"), load_timing("cortex-m0plus", {"multiplier": 1})
    slow = load_timing("cortex-m0plus", {"multiplier": 32})
    multiply = instruction("mul")
    assert Cycles(1, 32) == instruction_cycles(open_choice, multiply, None, taken=False)
    assert Cycles(1, 1) == instruction_cycles(fast, multiply, None, taken=False)
    assert Cycles(32, 32) == instruction_cycles(slow, multiply, None, taken=False)
    assert any("32 cycles of MULS assumed" in sentence for sentence in open_choice.assumptions)
    assert any("as configured: 1 " in sentence for sentence in fast.assumptions)


@pytest.mark.parametrize(("core", "value"), [("cortex-m0plus", 7), ("cortex-m4", 1)])
def test_wrong_option(core: str, value: int) -> None:
    """An option that the core does not have, or a value that it cannot have, is an error of usage."""
    with pytest.raises(UsageError) as caught:
        load_timing(core, {"multiplier": value})
    assert "wcet.option" == caught.value.code


def test_kind_without_figure() -> None:
    """Nobody measured the division of the Cortex-M33, so code with one is refused."""
    with pytest.raises(UnsupportedError) as caught:
        _block("cortex-m33", instruction("div", 0x100))
    assert "wcet.timing" == caught.value.code
    assert "0x100 div" == caught.value.where


def test_core_without_table() -> None:
    """A core without a table has no bound in cycles."""
    with pytest.raises(UnsupportedError) as caught:
        load_timing("cortex-m7")
    assert "wcet.core" == caught.value.code


def test_status() -> None:
    """The table of the Cortex-M33 is a measured one, the others are the vendor's."""
    expected = {core: "bound-measured-table" if core == "cortex-m33" else "bound" for core in CORES}
    assert expected == {core: load_timing(core).status for core in CORES}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("worst = 3", "worst = 0"),
        ("worst = 3", "worst = -1"),
        ('status = "bound"', 'status = "sure"'),
        ("[hazards.literal]", "[hazards.fetch]"),
        ('access = "load"', 'access = "fetch"'),
        ("late = true", "late = 1"),
        ("late = true", 'option = "speed"'),
        ("late = true", "later = true"),
        ("each = 1", 'each = "1"'),
    ],
)
def test_damaged_table(old: str, new: str) -> None:
    """A table that says something unknown or impossible is not read."""
    text = _path("cortex-m4").read_text(encoding="utf-8")
    assert old in text
    with pytest.raises(UsageError) as caught:
        read_timing(text.replace(old, new, 1).encode(), "a.toml", {})
    assert "wcet.table" == caught.value.code


OWN = Figures("own.toml", {"core": "cortex-m33", "rows": {"fp_div": {"best": 1, "worst": 16, "source": "board 7"}}})


def test_own_figures() -> None:
    """A row of a user joins the table, which then is a measured one with another digest, and says where it is from."""
    before = load_timing("cortex-m33")
    after = with_figures(before, OWN)

    assert Cycles(1, 16) == after.row("fp_div", "here").cycles
    assert before.rows == {kind: row for kind, row in after.rows.items() if kind != "fp_div"}
    assert before.sha256 != after.sha256
    assert "fp_div as stated in own.toml: 1 to 16 cycles (board 7)" == after.assumptions[-1]
    assert "bound-measured-table" == with_figures(load_timing("cortex-m4"), _own(core="cortex-m4")).status


def _own(**changed: object) -> Figures:
    return Figures("own.toml", {**OWN.table, **changed})


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"core": "cortex-m4"}, "core is 'cortex-m4', but the code is for cortex-m33"),
        ({"rows": {}}, "rows names no kind of instruction"),
        ({"rows": {"vdiv": {"best": 1, "worst": 2, "source": "s"}}}, "rows.vdiv is no kind of instruction"),
        ({"rows": {"div": {"best": 1, "worst": 2}}}, "rows.div.source is missing"),
        ({"rows": {"div": {"best": 3, "worst": 2, "source": "s"}}}, "rows.div.best is more than worst"),
        ({"rows": {"div": {"best": 3, "worst": 2000, "source": "s"}}}, "rows.div.worst must be a whole number"),
        ({"hazards": {}}, "hazards is no key of a timing table"),
        ({"rows": 3}, "rows must be a table"),
    ],
)
def test_wrong_own_figures(changed: dict[str, object], what: str) -> None:
    """What is not understood of a user's figures is an error of usage that names the key and the file."""
    with pytest.raises(UsageError) as caught:
        with_figures(load_timing("cortex-m33"), _own(**changed))
    assert ("wcet.table", "own.toml") == (caught.value.code, caught.value.where)
    assert caught.value.what.startswith(what)


def _assembled(core: str, texts: list[str], folder_: Path) -> list[tuple[Instruction, ...]]:
    """The instructions of each text, all assembled for the core."""
    lines = "".join(f"function f{number}\n{text}\n.balign 4\n0:\nnop\n" for number, text in enumerate(texts))
    code = linked(f"function f\nbx lr\n{lines}", folder_, ARCHITECTURES[core])
    found = []
    for number, text in enumerate(texts):
        function = code.function(f"f{number}")
        every = decode_function(function.code, function.address, function.data, code.architecture)
        found.append(every[: len(text.split("\n"))])
    return found


@pytest.mark.parametrize("core", CORES)
def test_every_row_against_its_source(core: str, tmp_path: Path, require_tool: Callable[[str], None]) -> None:
    """An instruction of every row takes what its manual says, copied from there independently of the table."""
    require_tool("arm-none-eabi-as")
    table, figures = load_timing(core), FIGURES[core]
    found = _assembled(core, [text for text, *_ in figures], tmp_path)
    taken = [sum((base_cycles(table, one, taken=True) for one in each), Cycles(0, 0)) for each in found]

    assert [(text, best, worst) for text, best, worst, _ in figures] == [
        (text, cycles.best, cycles.worst) for (text, *_), cycles in zip(figures, taken, strict=True)
    ]
    assert set(table.rows) == {one.kind for each in found for one in each}
    assert all(source for *_, source in figures)


@pytest.mark.parametrize("core", CORES)
def test_every_stall_pair_against_its_source(core: str, tmp_path: Path, require_tool: Callable[[str], None]) -> None:
    """What an instruction may lose to the one before it."""
    require_tool("arm-none-eabi-as")
    pairs = PAIRS[core]
    found = _assembled(core, [text for text, *_ in pairs], tmp_path)

    assert [cycles for _, cycles, _ in pairs] == [
        context_cycles(load_timing(core), after, before) for before, after in found
    ]


# wide_pair and wide_landing, literal: where a table has them they cost a cycle each.
@pytest.mark.parametrize(
    ("core", "expected"),
    [("cortex-m0plus", (0, 1, 0)), ("cortex-m3", (1, 1, 1)), ("cortex-m4", (1, 1, 1)), ("cortex-m33", (1, 1, 1))],
)
def test_every_fetch_hazard_against_its_source(core: str, expected: tuple[int, int, int]) -> None:
    """Unaligned wide instructions in a row and jumped to (compendium.i-0.nl), loads beside the code (T3 3.3.3)."""
    table = load_timing(core)
    first, second = instruction(address=2, size=4), instruction(address=6, size=4)
    plain, literal = instruction("load"), instruction("load", literal=64)
    wait = base_cycles(table, literal, taken=False).worst - base_cycles(table, plain, taken=False).worst

    assert expected == (context_cycles(table, second, first), context_cycles(table, first, None), wait)
    assert {"wide_pair": 1, "wide_landing": 1, "literal": 1, "address": 1, "late_result": 1}.items() >= (
        table.hazards.items()
    )


@pytest.mark.parametrize(
    ("core", "expected"),
    [
        ("cortex-m0plus", (Cycles(1, 1), Cycles(1, 1))),
        ("cortex-m3", (Cycles(1, 3), Cycles(1, 1))),
        ("cortex-m4", (Cycles(1, 3), Cycles(1, 1))),
        ("cortex-m33", (Cycles(1, 2), Cycles(0, 1))),
    ],
)
def test_refill_and_skipped_against_their_source(core: str, expected: tuple[Cycles, Cycles]) -> None:
    """P of the manuals, and an instruction whose condition fails; on the Cortex-M33 as jnk0le measured."""
    table = load_timing(core)
    assert expected == (table.refill, table.skipped)
