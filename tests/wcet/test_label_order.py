"""Marks and labels of one address: their order, read from the assembly."""

from __future__ import annotations

import pytest

from aprgen.errors import ToolchainError
from aprgen.label_order import JUMPS_PAST, LABEL_AFTER, ORDER_KNOWN, OrderedAssembly, order_marks

MARK = [
    "\t.syntax unified",
    '@ 22 "model.c" 1',
    "\t99:",
    '\t.pushsection .debug_apr_marks,"",%progbits',
    "\t.4byte 99b, 1, 12, 47",
    '\t.asciz "model_rows"',
    "\t.balign 4",
    "\t.popsection",
    '@ 0 "" 2',
    "\t.thumb",
]


def ordered(*lines: str) -> OrderedAssembly:
    """Assembly in which each line "mark" is a whole mark."""
    return order_marks("\n".join(part for line in lines for part in (MARK if line == "mark" else [line])))


def flags(result: OrderedAssembly) -> list[int]:
    """What was added to the kind, 1, of each mark."""
    return [int(line.split(",")[1]) - 1 for line in result.text.split("\n") if ".4byte 99b" in line]


def test_a_label_behind_a_mark_is_written_down() -> None:
    """Jumps to .L5 pass by a mark in front of it."""
    result = ordered("\tmovs r0, #0", "mark", ".L5:", "\tadds r0, #1", "\tbne .L5")

    assert [ORDER_KNOWN + LABEL_AFTER] == flags(result)
    assert (1, 1, 0, 0) == (result.marks, result.after, result.between, result.nops)


def test_a_label_before_a_mark_needs_nothing() -> None:
    """Jumps to .L5 pass a mark behind it, as does what falls through."""
    result = ordered("\tmovs r0, #0", ".L5:", "mark", "\tadds r0, #1", "\tbne .L5")

    assert [ORDER_KNOWN] == flags(result)
    assert (1, 0, 0) == (result.marks, result.after, result.between)


def test_labels_on_both_sides_list_the_jumps_past() -> None:
    """Of a mark between two labels, the record names the jumps to the second; the instructions stay as they are."""
    text = (
        "\tcbz r0, .L6",
        "\tnegs r1, r1",
        ".L5:",
        "mark",
        ".L6:",
        "\tadds r0, #1",
        "\tbne .L5",
        "\tbgt.n .L6 @ again",
    )
    result = ordered(*text)
    lines = result.text.split("\n")
    record = next(line for line in lines if ".4byte 99b" in line)

    assert [ORDER_KNOWN + JUMPS_PAST] == flags(result)
    assert (1, 0, 1, 0) == (result.marks, result.after, result.between, result.nops)
    assert record.endswith(", 12, 47, 2, .Lapr_jump0, .Lapr_jump1")
    assert lines[:2] == [".Lapr_jump0:", "\tcbz r0, .L6"]
    assert lines[-2:] == [".Lapr_jump1:", "\tbgt.n .L6 @ again"]
    assert [line for line in text if line.startswith("\t")] == [
        line for line in lines if line.startswith("\t") and line not in MARK and line != record
    ]


def test_marks_share_the_labels_of_jumps() -> None:
    """Two marks between the same labels name the same jumps; a label between the marks is behind the first only."""
    result = ordered(".L4:", "mark", ".L5:", "mark", ".L6:", "\tadds r0, #1", "\tbne .L4", "\tbeq .L5", "\tbgt .L6")
    records = [line for line in result.text.split("\n") if ".4byte 99b" in line]

    assert [", 2, .Lapr_jump0, .Lapr_jump1", ", 1, .Lapr_jump1"] == [line.partition(", 47")[2] for line in records]


@pytest.mark.parametrize("naming", ["\t.byte (.L6-.L4)/2", "\tldr r3, =.L6", "\tmovw r3, #:lower16:.L6"])
def test_what_else_names_a_label_is_refused(naming: str) -> None:
    """Where a jump through a table or a register may lead to either label, no list of jumps is complete."""
    with pytest.raises(ToolchainError) as caught:
        ordered(".L5:", "mark", ".L6:", "\tadds r0, #1", "\tbne .L5", "\tbeq .L6", naming)

    assert "marks.label" == caught.value.code
    assert "-fno-jump-tables" in caught.value.hint


def test_the_constant_99_is_no_label() -> None:
    """The marks' own label is not taken for one that is jumped to."""
    assert [ORDER_KNOWN] * 2 == flags(ordered("mark", "mark", "\tmovs r0, #99"))


@pytest.mark.parametrize(
    "branch", ["\tbeq .L5", "\tcbz r4, .L5", "\tbeq .L6", "\tb .L6", "\tje .L5", "\tcbz w0, .L5", "\tbeq 7f"]
)
def test_a_mark_that_a_branch_jumps_over_gets_an_instruction(branch: str) -> None:
    """Both ways of the branch would lead to one address; the assembler writes `cbz` to the next one as a nop."""
    result = ordered(branch, "mark", ".L5:", ".L6:", "7:", "\tpop {r4, pc}", "\tbne .L5", "\tbne .L6")

    assert [ORDER_KNOWN] == flags(result)
    assert (1, 0, 1) == (result.marks, result.after, result.nops)


def test_a_branch_over_labels_and_a_mark_gets_an_instruction() -> None:
    """The mark's own label may stand between the branch and it."""
    result = ordered("\tcbz r4, .L6", ".L5:", "mark", ".L6:", "\tadds r0, #1", "\tbne .L5")
    lines = result.text.split("\n")

    assert ([ORDER_KNOWN], 1) == (flags(result), result.nops)
    assert "\tnop" == lines[lines.index(".L6:") - 1]


def test_a_branch_to_elsewhere_needs_nothing() -> None:
    """Only a branch to a label right behind the mark jumps over nothing."""
    result = ordered("\tbeq .L50", "mark", ".L5:", "\tpop {r4, pc}", ".L50:", "\tbne .L5")

    assert [ORDER_KNOWN + LABEL_AFTER] == flags(result)
    assert 0 == result.nops


def test_two_marks_and_a_label_between_them() -> None:
    """The first is passed by falling through, the second by jumps, too; neither needs an instruction."""
    result = ordered("\tmovs r0, #0", "mark", ".L5:", "mark", "\tadds r0, #1", "\tbne .L5")

    assert [ORDER_KNOWN + LABEL_AFTER, ORDER_KNOWN] == flags(result)
    assert 0 == result.between


def test_two_marks_before_a_label_both_know_it() -> None:
    """The second mark does not hide the label from the first."""
    result = ordered("\tmovs r0, #0", "mark", "mark", ".L5:", "\tadds r0, #1", "\tbne .L5")

    assert [ORDER_KNOWN + LABEL_AFTER] * 2 == flags(result)


def test_labels_that_nothing_jumps_to_do_not_count() -> None:
    """Debugging labels and what only directives name are not entered by jumps."""
    result = ordered("\tmovs r0, #0", "mark", ".LVL5:", ".L7:", "\tadds r0, #1", "\t.size model, .-.L7")

    assert [ORDER_KNOWN] == flags(result)


@pytest.mark.parametrize("naming", ["\t.byte (.L5-.L4)/2", "\t.word .L5+1", "\tcbz r3, .L5", "\tbl .L5 @ far jump"])
def test_tables_and_all_jumps_name_labels(naming: str) -> None:
    """A jump table enters a label as a branch does."""
    assert [ORDER_KNOWN + LABEL_AFTER] == flags(ordered("\tmovs r0, #0", "mark", ".L5:", "\tadds r0, #1", naming))


def test_numbered_labels_count() -> None:
    """Hand-written assembly names label 1 as 1b or 1f."""
    assert [ORDER_KNOWN + LABEL_AFTER] == flags(ordered("\tmovs r0, #0", "mark", "1:", "\tadds r0, #1", "\tbne 1b"))


def test_a_debug_section_names_nothing() -> None:
    """Debugging information refers to every label; that is no jump."""
    lines = ("\tmovs r0, #0", "mark", ".L5:", "\tadds r0, #1", '\t.section .debug_line,"",%progbits', "\t.4byte .L5")

    assert [ORDER_KNOWN] == flags(ordered(*lines))


@pytest.mark.parametrize("behind", [(), ("\t.align 2", "\t.word 12", "\tbx lr")])
def test_a_mark_needs_an_instruction(behind: tuple[str, ...]) -> None:
    """A mark before constants or at the end of the code has no address that could be counted."""
    with pytest.raises(ToolchainError) as caught:
        ordered("\tmovs r0, #0", "mark", *behind)

    assert "marks.place" == caught.value.code


def test_an_instruction_behind_a_label_is_refused() -> None:
    """One line with both could hide a label."""
    with pytest.raises(ToolchainError) as caught:
        ordered("mark", ".L5: adds r0, #1")

    assert "marks.syntax" == caught.value.code


X86 = [
    "#APP",
    '# 88 "model.c" 1',
    "\t99:",
    '\t.pushsection .debug_apr_marks,"",%progbits',
    "\t.4byte 99b, 1, 12, 88",
    '\t.asciz "model_rows"',
    "\t.balign 4",
    "\t.popsection",
    '# 0 "" 2',
    "#NO_APP",
]


@pytest.mark.parametrize("jump", ["\tjne\t.L5", "\tjmp\t.L5", "\tb.ne\t.L5", "\tcbz\tw0, .L5", "\ttbnz\tx1, #3, .L5"])
@pytest.mark.parametrize("mark", [MARK, X86])
def test_jumps_of_every_instruction_set(jump: str, mark: list[str]) -> None:
    """A label counts as such when a jump of x86-64 (AT&T) or AArch64 names it, with padding before it or not."""
    padded = [*mark, "\t.p2align 4,,10", "\t.p2align 3", ".L5:", "\taddq\t$4, %rax", jump]
    both = [".L5:", *mark, "\t.p2align 4", ".L6:", "\tmovl\t$0, (%rax,%r10)", jump, "\tjmp\t.L6"]

    assert [ORDER_KNOWN + LABEL_AFTER] == flags(order_marks("\n".join(padded)))
    assert 1 == order_marks("\n".join(both)).between


@pytest.mark.parametrize("table", [".quad", ".long", ".xword", ".value", ".word"])
def test_labels_that_tables_name(table: str) -> None:
    """A label in a table of any instruction set counts, and a mark in front of a table is refused."""
    assert [ORDER_KNOWN + LABEL_AFTER] == flags(ordered("mark", ".L5:", "\tnop", "\tret", f"\t{table}\t.L5"))
    with pytest.raises(ToolchainError):
        ordered("\tnop", "mark", f"\t{table}\t0")


def test_labels_behind_a_symbol_of_a_procedure_linkage_table() -> None:
    """What stands behind @ in an operand of x86-64 hides no label in front of it."""
    assert [ORDER_KNOWN + LABEL_AFTER] == flags(ordered("mark", "f:", "\tret", "\tcall\tf@PLT"))
