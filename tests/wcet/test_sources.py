"""Lines of the C beside instructions: they come from code that is the analysed one, and their costs add up."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from aprgen.core import public_functions
from aprgen.image import Image, build_image
from aprgen.measured import model_facts
from aprgen.toolchain import find_toolchain
from aprgen.wcet.code import read_code
from aprgen.wcet.cost import edge_costs, instruction_costs
from aprgen.wcet.graph import Graph
from aprgen.wcet.memory import Memory
from aprgen.wcet.sources import Place, line_table, same_code, sources_of
from aprgen.wcet.timing import load_timing
from tests.examples import artifact
from tests.wcet.test_analyse import report_of

MODELS = ("rfc", "kmeans", "gbm", "knn_minkowski", "v2_mlp_f32")
TARGETS = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m33")


@pytest.fixture(autouse=True)
def _tools(require_target: Callable[[str], None], require_tool: Callable[[str], None]) -> None:
    require_target("cortex-m4")
    for module in ("scipy", "capstone", "unicorn"):
        require_tool(module)


def _built(name: str, target: str, work: Path, *, lines: bool) -> Image:
    made = artifact(name, target)
    functions = [one for one in public_functions(made.program, made.name) if not one.endswith("_batch")]
    return build_image(
        made.target, find_toolchain(made.target), made.texts, model_facts(made), work / f"lines-{lines}",
        marks=True, keep=functions, lines=lines,
    )  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", MODELS)
def test_lines_change_no_code(name: str, target: str, tmp_path: Path) -> None:
    """With and without line information the linked functions are equal, address by address and byte by byte."""
    without, with_lines = (_built(name, target, tmp_path, lines=lines) for lines in (False, True))

    assert same_code(without.program, with_lines.program)
    assert read_code(without.program).memory == read_code(with_lines.program).memory
    assert line_table(without.program).keys().isdisjoint(
        range(*_extent(without, f"{name}_scores"))
    )  # there, only the compiler's library knows lines


def _extent(image: Image, function: str) -> tuple[int, int]:
    found = read_code(image.program).function(function)
    return found.address, found.end


def test_every_instruction_of_the_model_has_a_line(tmp_path: Path) -> None:
    """The lines are those of the generated C and of its headers, and lie in the texts that were written."""
    image = _built("rfc", "cortex-m4", tmp_path, lines=True)
    texts = artifact("rfc", "cortex-m4").texts
    sources = sources_of(image.program, image.program, texts)
    low, high = _extent(image, "rfc_1_tree")
    places = {sources.places[address] for address in range(low, high, 2) if address in sources.places}

    assert "" == sources.missing
    assert {"rfc.c"} == {place.file for place in places}
    text = texts["rfc.c"].splitlines()
    assert any("_threshold[at]" in text[place.line - 1] for place in places)


def test_other_code_gives_no_lines(tmp_path: Path) -> None:
    """Lines of a program with other code are not believed, not even where most of it is equal."""
    image = _built("rfc", "cortex-m4", tmp_path, lines=True)
    changed = tmp_path / "changed.elf"
    shutil.copy(image.program, changed)
    low, _ = _extent(image, "rfc_scores")
    code = read_code(image.program).function("rfc_scores").code
    data = bytearray(changed.read_bytes())
    at = data.index(code)
    data[at + 2] ^= 0x01
    changed.write_bytes(data)
    sources = sources_of(image.program, changed, {})

    assert {} == dict(sources.places)
    assert "other code" in sources.missing
    assert Place("rfc.c", 0).file == sources_of(image.program, image.program, {}).places[low].file


@pytest.mark.parametrize(("name", "target"), [("rfc", "cortex-m4"), ("kmeans", "cortex-m0plus"), ("gbm", "cortex-m3")])
def test_lines_add_up(name: str, target: str) -> None:
    """Lines of a listing sum to the listing, listings to the bound, and the C shown is the generated C."""
    texts = artifact(name, target).texts
    for entry in report_of(name, target).entries:
        assert "exactly" in entry.certificate
        assert entry.cycles == sum(one.cost for one in entry.listings)
        assert 1.0 == pytest.approx(sum(one.share for one in entry.listings))
        for listing in entry.listings:
            assert listing.cost == sum(line.cost for line in listing.lines)
            for line in listing.lines:
                assert line.cost == sum(one.cost for one in line.instructions)
                assert line.count == max((one.count for one in line.instructions), default=0)
                if line.number:
                    assert texts[listing.file].splitlines()[line.number - 1].startswith(line.text[:100])
        assert {"", f"{name}.c", "apr_rt.h", "apr_math.h"} >= {one.file for one in entry.listings}


def test_counts_of_a_line() -> None:
    """The line that reads a node of the trees is executed once for each step of the worst path."""
    entry = next(one for one in report_of("rfc", "cortex-m4").entries if one.function == "rfc_scores")
    steps = max(one.count for one in entry.loops)
    line = max((line for listing in entry.listings for line in listing.lines), key=lambda line: line.cost)

    assert "_nodes_threshold[at]" in line.text
    assert steps == line.count > 3


def test_instructions_cost_what_edges_do(tmp_path: Path) -> None:
    """Over any counts of edges, instruction costs sum to the costs of the edges; wait states included."""
    from aprgen.wcet.cfg import build_graphs

    image = _built("kmeans", "cortex-m4", tmp_path, lines=False)
    graphs: dict[str, Graph] = dict(build_graphs(read_code(image.program), ["kmeans_scores"]))
    timing = load_timing("cortex-m4")
    for memory in (Memory(0, 4), Memory(3, 16)):
        for graph in graphs.values():
            counts = {edge: 1 + 7 * number % 5 for number, edge in enumerate(graph.edges)}
            costs = edge_costs(graph, timing, memory)
            found = instruction_costs(graph, counts, timing, memory)

            expected = costs.entry.worst + sum(costs.edges[edge].worst * n for edge, n in counts.items())
            assert expected == sum(cost for _, cost in found.values())
            runs = Counter[int]()
            for edge, n in counts.items():
                runs[edge.source] += n
            assert runs == {start: found[start][0] for start in runs}
