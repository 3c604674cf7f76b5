"""Loop bounds on their way from the C through the compiler to the analysis."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

from aprgen.elf import read_elf
from aprgen.errors import ComparisonError, ToolchainError, UnsupportedError
from aprgen.label_order import MARKS_SECTION
from aprgen.resources import folder
from aprgen.rows import edge_rows, random_rows
from aprgen.runners.choose import runner_for
from aprgen.target import load_target
from aprgen.toolchain import Unit, compile_units, find_toolchain
from aprgen.wcet.counters import require_no_disagreement
from aprgen.wcet.marks import Mark, constraint, count, loop_facts, read_marks, unbounded_cycle
from tests.examples import ROWS, TEXTS, artifact
from tests.wcet.marked import fixture, image, written

CORES = ("cortex-m0plus", "cortex-m3", "cortex-m4")
HOSTED = ("host", "x86-avx2", "arm-neon")
GCC = "arm-none-eabi-gcc"
LOOP = re.compile(r"^ *(?:for|while) \(.*\{(?: /\*.*\*/)?$")
MARK = re.compile(r"^ *APR_(LOOP|BODY)\((.*?), (.*)\);$")


@pytest.fixture(autouse=True)
def _gcc(require_tool: Callable[[str], None]) -> None:
    require_tool(GCC)


def sections(path: Path) -> dict[str, bytes]:
    with path.open("rb") as stream:
        return {section.name: section.data() for section in ELFFile(stream).iter_sections()}


def c_files() -> list[Path]:
    kernels = [*folder("templates").glob("c99/*.j2"), *folder("templates").glob("package/source_*.j2")]
    return sorted([*kernels, *folder("runtime_c").rglob("apr_*.h")])


@pytest.mark.parametrize("path", c_files(), ids=lambda path: path.name)
def test_every_loop_is_marked(path: Path) -> None:
    """Before each loop stands its mark, and in its body, reached each time, the same name and bound; or it spends what
    was allowed elsewhere, on whatever way through its body, as the binary is asked in test_texts."""
    lines = path.read_text().split("\n")
    loops = [at for at, line in enumerate(lines) if re.match(r" *(for|while|do)\b", line)]
    spending = 0
    for at in loops:
        assert LOOP.match(lines[at]), lines[at]
        if any("APR_SPEND(" in line for line in body(lines, at)) and MARK.match(lines[at - 1]) is None:
            spending += 1
            continue
        before = MARK.match(lines[at - 1])
        assert before is not None, lines[at]
        inside = next((MARK.match(line) for line in straight(lines, at) if MARK.match(line)), None)
        assert inside is not None, lines[at]
        assert ("LOOP", "BODY") == (before[1], inside[1])
        assert before.groups()[1:] == inside.groups()[1:]
    names = [match[2] for line in lines if (match := MARK.match(line)) and match[1] == "LOOP"]
    assert len(loops) - spending == len(names) == len(set(names))


def body(lines: list[str], at: int) -> list[str]:
    """The lines of the loop in that line, to its closing brace."""
    indent = len(lines[at]) - len(lines[at].lstrip())
    end = next(n for n in range(at + 1, len(lines)) if lines[n].startswith(" " * indent + "}"))
    return lines[at + 1 : end]


def straight(lines: list[str], at: int) -> list[str]:
    """The statements that begin the body of the loop in that line, up to the first that branches or ends it."""
    found = []
    for line in lines[at + 1 :]:
        if re.search(r"[{}]$|[{}] /\*|\b(break|continue|return|goto)\b", line):
            break
        found.append(line)
    return found


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("name", ROWS)
def test_marks_bound_every_loop_of_a_model(name: str, core: str) -> None:
    """Each cycle in a model's own functions passes a marked body, and no counter in the code says otherwise."""
    marked = fixture(name, core)
    n_facts = 0
    for function in marked.image.model.functions:
        for graph in marked.graphs(function).values():
            if graph.name.startswith(name):
                facts = loop_facts(marked.marks, graph)
                assert unbounded_cycle(facts, graph) is None
                assert all(set(constraint(fact, graph).terms) <= set(graph.edges) for fact in facts)
                require_no_disagreement(marked.opinions(graph), graph.name)
                n_facts += len(facts)
    has_loops = re.search(rf"APR_LOOP\({name}_\d", artifact(name, core).texts[f"{name}.c"]) is not None
    assert has_loops == (n_facts > 0)


@pytest.mark.parametrize("core", [*CORES, *HOSTED])
def test_counters_confirm_most_marks(core: str) -> None:
    """Four of five bounds, or more, are found a second time in the code."""
    verdicts = [
        opinion.verdict
        for name in ("dtr", "kmeans", "linreg", "logreg_bc", "rfc", "standard_scaler", "v2_mlp_f32")
        for graph in fixture(name, core).graphs("scores").values()
        for opinion in fixture(name, core).opinions(graph)
    ]

    assert verdicts.count("agrees") >= 0.8 * len(verdicts)
    assert "disagrees" not in verdicts


@pytest.mark.parametrize("core", [*CORES, *HOSTED])
@pytest.mark.parametrize("name", ["gbm", "knn_euclidean", "linreg", "rfc", "v2_mlp_f32"])
def test_marks_change_no_answer(name: str, core: str, require_target: Callable[[str], None]) -> None:
    """The marked program gives the bits of the Program."""
    require_target(core)
    program = artifact(name, core).program
    rows = np.concatenate([edge_rows(program, 20).values, random_rows(program, 20).values])
    execution = runner_for(load_target(core)).run(image(name, core, marks=True), rows, count=False)

    expected = program.run(rows)
    found = execution.scores.reshape(expected.shape)
    assert np.array_equal(np.isnan(expected), np.isnan(found))
    assert np.array_equal(expected.view(np.uint32)[~np.isnan(expected)], found.view(np.uint32)[~np.isnan(expected)])


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("name", ["kmeans", "rfc", "v2_mlp_f32"])
def test_a_mark_takes_no_byte(name: str, core: str, tmp_path: Path) -> None:
    """The compiler's assembly gives the same bytes with its marks and with them taken away."""
    assembly = image(name, core, marks=True).object.with_suffix(".s").read_text()
    plain = re.sub(r"99:\n\t\.pushsection.*?\.popsection\n", "", assembly, flags=re.DOTALL)
    assert MARKS_SECTION in assembly
    assert MARKS_SECTION not in plain
    found = []
    for number, text in enumerate((assembly, plain)):
        source, out = tmp_path / f"{number}.s", tmp_path / f"{number}.o"
        source.write_text(text)
        subprocess.run([GCC, *load_target(core).builds[0].cflags, "-c", source, "-o", out], check=True)
        found.append({k: v for k, v in sections(out).items() if k.startswith((".text", ".rodata", ".data"))})

    assert found[0] == found[1]


@pytest.mark.parametrize("name", ["kmeans", "tfidf"])
def test_marks_are_not_loaded(name: str, tmp_path: Path) -> None:
    """The linker keeps them outside of all segments, and strip takes them away."""
    marked = image(name, "cortex-m4", marks=True).program
    stripped = tmp_path / "stripped.elf"
    subprocess.run(["arm-none-eabi-strip", marked, "-o", stripped], check=True)

    assert MARKS_SECTION in sections(marked)
    assert MARKS_SECTION not in sections(stripped)
    assert read_marks(stripped) == ()
    assert read_elf(stripped).segments == read_elf(marked).segments


@pytest.mark.parametrize(
    ("words", "marked"),
    [
        ((GCC, "-mthumb", "-mcpu=cortex-m0plus"), True),
        ((GCC, "-mthumb", "-mcpu=cortex-m55", "-mfloat-abi=hard"), True),
        ((GCC, "-mthumb", "-mcpu=cortex-m4", "-DAPR_NO_MARKS"), False),
        ((GCC, "-mthumb", "-mcpu=cortex-m4", "-DAPR_NO_MARKS", "-DAPR_MARKS"), False),
        ((GCC, "-mthumb", "-mcpu=cortex-r5"), False),
        ((GCC, "-mthumb", "-mcpu=cortex-r5", "-DAPR_MARKS"), True),
        (("gcc",), False),
        (("gcc", "-DAPR_MARKS", "-fno-pie"), True),
        (("clang-14", "--target=arm-none-eabi", "-mthumb", "-mcpu=cortex-m4"), False),
    ],
)
def test_where_marks_are(
    words: tuple[str, ...], marked: bool, tmp_path: Path, require_tool: Callable[[str], None]
) -> None:
    """gcc for the M profile marks every build, others the builds that ask for it; APR_NO_MARKS turns them off."""
    require_tool(words[0])
    for file, text in artifact("linreg", "host").texts.items():
        (tmp_path / file).write_text(text)
    out = tmp_path / "linreg.o"
    subprocess.run([*words, "-std=c99", "-O2", "-ffreestanding", "-c", "linreg.c", "-o", out], cwd=tmp_path, check=True)

    assert marked == (MARKS_SECTION in sections(out))


@pytest.mark.parametrize("level", ["-O0", "-Og", "-O1", "-Os", "-O3", "-O2 -flto", "-O2 -fno-inline -g", "-Os -fpic"])
@pytest.mark.parametrize("name", ["knn_euclidean", "rfc", "tfidf"])
def test_marks_compile_at_every_level(name: str, level: str, tmp_path: Path) -> None:
    """A mark's operands are constants for the compiler however much or little it inlines."""
    for file, text in artifact(name, "cortex-m4").texts.items():
        (tmp_path / file).write_text(text)
    words = [GCC, *load_target("cortex-m4").builds[0].cflags, *level.split(), "-Wall", "-Wextra", "-Werror"]
    entry = "scores_text" if name in TEXTS else "predict"
    link = ["-nostartfiles", "-nostdlib", f"-Wl,-e,{name}_{entry}", "-Wl,--unresolved-symbols=ignore-all"]
    subprocess.run([*words, "-std=c99", "-pedantic", *link, f"{name}.c", "-o", "out.elf"], cwd=tmp_path, check=True)

    assert MARKS_SECTION in sections(tmp_path / "out.elf")


def test_marks_of_unknown_order_are_refused(tmp_path: Path) -> None:
    """Whoever compiles past aprgen, which reads the order, gets no facts."""
    toolchain = find_toolchain(load_target("cortex-m4"), "system")
    for file, text in artifact("linreg", "cortex-m4").texts.items():
        (tmp_path / file).write_text(text)
    out = tmp_path / "linreg.elf"
    words = [GCC, *toolchain.compile_flags, "-nostdlib", "-Wl,-e,linreg_scores", "linreg.c", "-o", out]
    subprocess.run(words, cwd=tmp_path, check=True)
    with pytest.raises(ToolchainError) as caught:
        read_marks(out)

    assert "marks.records" == caught.value.code


def test_an_object_file_is_refused() -> None:
    """Before linking, addresses are not final."""
    with pytest.raises(ToolchainError) as caught:
        read_marks(image("kmeans", "cortex-m4", marks=True).object)

    assert "marks.records" == caught.value.code


def test_other_compilers_are_refused(tmp_path: Path) -> None:
    """A build rule without `marks` cannot take bounds through its compiler."""
    target = load_target("wasm")
    toolchain = find_toolchain(target, "system")
    unit = Unit(tmp_path / "a.c", tmp_path / "a.o", marks=True)
    with pytest.raises(UnsupportedError) as caught:
        compile_units(toolchain, (unit,), tmp_path)

    assert "toolchain.marks" == caught.value.code


SUM = """    float sum = 0.0F;
    APR_LOOP(brake_sum, {bound}U);
    for (uint32_t i = 0U; i < {times}U; ++i) {{
        APR_BODY(brake_sum, {bound}U);
        sum += x[i & 3U];
    }}
    out[0] = sum;"""


@pytest.mark.parametrize("core", [*CORES, *HOSTED])
@pytest.mark.parametrize("times", [9, 64, 1000])
def test_a_wrong_mark_is_contradicted(core: str, times: int) -> None:
    """A loop that runs once more than it is marked disagrees with its counter; a true mark agrees."""
    right = written(SUM.format(bound=times, times=times), core)
    wrong = written(SUM.format(bound=times - 1, times=times), core)
    graphs = [marked.graphs("scores")["brake_scores"] for marked in (right, wrong)]

    assert ["agrees"] == [opinion.verdict for opinion in right.opinions(graphs[0])]
    assert [("disagrees", times)] == [(opinion.verdict, opinion.times) for opinion in wrong.opinions(graphs[1])]
    with pytest.raises(ComparisonError) as caught:
        require_no_disagreement(wrong.opinions(graphs[1]), "brake_scores")
    assert "wcet.counter" == caught.value.code


def test_nothing_is_said_of_tangled_code() -> None:
    """In a function with cycles that are no loops no register is followed."""
    marked = written(SUM.format(bound=64, times=64), "cortex-m4")
    graph = marked.graphs("scores")["brake_scores"]
    tangled = replace(graph, tangles=(frozenset(graph.blocks),))

    assert ["unknown"] == [opinion.verdict for opinion in marked.opinions(tangled)]


def test_an_early_exit_is_no_contradiction() -> None:
    """A counter that could run further than the mark says, next to another exit, proves nothing."""
    leave = "if (x[i & 3U] > sum) {\n            break;\n        }\n        sum +="
    body = SUM.format(bound=9, times=64).replace("sum +=", leave)
    marked = written(body, "cortex-m4")
    (opinion,) = marked.opinions(marked.graphs("scores")["brake_scores"])

    assert ("unknown", 64) == (opinion.verdict, opinion.times)


@pytest.mark.parametrize("core", [*CORES, *HOSTED])
def test_a_loop_without_mark_is_found(core: str) -> None:
    """A cycle that passes no body is named."""
    marked = written(SUM.format(bound=64, times=64).replace("        APR_BODY(brake_sum, 64U);\n", ""), core)
    graph = marked.graphs("scores")["brake_scores"]

    assert loop_facts(marked.marks, graph) == ()
    assert unbounded_cycle((), graph) in {loop.head for loop in graph.loops}


def test_copies_with_their_own_bounds() -> None:
    """A function that is inlined with two constants gives two facts, one for each."""
    body = "    out[0] = (apr_all_finite(x, 64U) != 0) ? 1.0F : 0.0F;\n    out[1] = (float)apr_all_finite(out, 200U);"
    marked = written(body, "cortex-m4")
    facts = loop_facts(marked.marks, marked.graphs("scores")["brake_scores"])

    assert [("apr_all_finite", 64), ("apr_all_finite", 200)] == [(fact.id, fact.bound) for fact in facts]


def test_an_argument_that_is_no_constant_is_refused() -> None:
    """A bound that only the caller knows is no bound."""
    before = "static int __attribute__((noinline)) all(const float *x, uint32_t n) { return apr_all_finite(x, n); }"
    body = "    out[0] = (float)all(x, (out[0] > 1.0F) ? 3U : 4U);"
    marked = written(body, "cortex-m4", before=before)
    graphs = marked.graphs("scores")
    with pytest.raises(UnsupportedError) as caught:
        loop_facts(marked.marks, graphs["all"])

    assert "wcet.loop" == caught.value.code
    assert "an argument" in caught.value.what


def test_a_jump_past_a_mark_does_not_count() -> None:
    """With a label behind the mark, only edges that fall through to its block are counted."""
    graph = written(SUM.format(bound=64, times=64), "cortex-m4").graphs("scores")["brake_scores"]
    (head,) = (loop.head for loop in graph.loops)
    here = Mark(head, "body", "brake_sum", 64, "", 1, label_after=False)
    passed_by = replace(here, label_after=True)

    assert {False, True} == {edge.taken for edge in count(here, graph).edges}
    assert {False} == {edge.taken for edge in count(passed_by, graph).edges}


def test_a_listed_jump_past_a_mark_does_not_count() -> None:
    """With labels on both sides of the mark, exactly the jumps that the record lists pass by."""
    graph = written(SUM.format(bound=64, times=64), "cortex-m4").graphs("scores")["brake_scores"]
    (head,) = (loop.head for loop in graph.loops)
    here = Mark(head, "body", "brake_sum", 64, "", 1, label_after=False)
    jump = next(graph.blocks[edge.source].last.address for edge in graph.edges if edge.taken and edge.target == head)
    other = replace(here, passed_by=frozenset({jump + 2}))
    passed_by = replace(here, passed_by=frozenset({jump}))

    assert {False, True} == {edge.taken for edge in count(other, graph).edges}
    assert {False} == {edge.taken for edge in count(passed_by, graph).edges}
