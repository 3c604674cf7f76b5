"""Records as a machine would give them whose costs are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from aprgen.passes.choices import Choices
from aprgen.tuned.records import Machine, Record

MACHINE = Machine("Some CPU, model 1", ("avx2", "fma"))
GHZ = 2.0
TRUTH: Mapping[str, float] = {  # cycles for 1,000 rows
    "code": 4000.0, "level_tree": 700.0, "level_split": 50.0, "walked_split": 3000.0, "split": 9000.0, "a row": 2000.0
}  # fmt: skip


def record(model: str, choices: Choices, work: Mapping[str, float], *, slower: float = 1.0, rows: int = 1000) -> Record:
    """A measurement that is the sum of its costs, in ns at 2 GHz."""
    least = slower * sum(TRUTH[term] * count for term, count in work.items()) / 1000 / GHZ
    return Record(
        model, {"family": "forest"}, "f32", "x86-avx2", MACHINE, "gcc 1.0", "0.1.0", rows, choices, work, "ns", GHZ,
        least, 1.1 * least, 50,
    )  # fmt: skip


def forest(number: int, *, n_trees: int, depth: int, n_columns: int) -> list[Record]:
    """Levels, walked, and rows one by one, of a forest of full trees."""
    name = f"{number:064x}"
    splits = n_trees * (2**depth - 1)
    levels = {"code": n_columns, "level_tree": n_trees, "level_split": splits, "a row": 1}
    return [
        record(name, Choices(trees="levels"), levels),
        record(name, Choices(trees="walked"), {"code": 2 * n_columns, "walked_split": n_trees * depth, "a row": 1}),
        record(name, Choices(trees="rows"), {"split": n_trees * depth, "a row": 1}),
    ]  # fmt: skip


def forests() -> list[Record]:
    sizes = ((10, 3, 5), (20, 6, 9), (50, 4, 30), (100, 6, 8), (7, 5, 60), (300, 6, 100), (40, 2, 3))
    return [one for number, (n, depth, columns) in enumerate(sizes)
            for one in forest(number, n_trees=n, depth=depth, n_columns=columns)]  # fmt: skip


def network(number: int, *, tile: tuple[int, int] = (4, 2), slower: float = 1.0) -> Record:
    """A layer in panels; its costs are those of walked splits."""
    made = record(
        f"{1000 + number:064x}", Choices(sums=("panels",), rows=128, tile_rows=tile[0], tile_panels=tile[1]),
        {"walked_split": 10.0 + number}, slower=slower,
    )  # fmt: skip
    return replace(made, work={"panel": 10.0 + number})
