"""The demo: a forest that reads digits, compiled for a Cortex-M4 and run there under an emulator.

Knows where the example's files are and how to show a result; everything it shows was measured on this run.
"""

from __future__ import annotations

import sys
from io import TextIOWrapper
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.columns import Columns
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

import aprgen
from aprgen.errors import AprgenError

DIGITS = Path(__file__).parent / "digits"
TARGET = "cortex-m4"
N_IMAGES = 30  # the first rows are images; the others sit on thresholds or hold zeros, infinities and NaN
SHOWN = 6
SHOWN_FACTS = ("trees", "split nodes", "features", "classes")
SIDE = 8  # pixels
GREY = 8.0  # of 16; brighter is drawn
BLOCKS = np.array([[" ", "▄"], ["▀", "█"]])  # [upper pixel, lower pixel]


def main() -> int:
    console = Console()
    model = aprgen.load(DIGITS / "digits.apr")
    rows, recorded = np.load(DIGITS / "rows.npy"), np.load(DIGITS / "labels.npy")
    image = aprgen.compile(model, target=TARGET).build()
    execution = image.run(rows)
    labels = execution.labels
    assert labels is not None
    same = labels == recorded

    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column()
    facts = ", ".join(f"{fact.value} {fact.label}" for fact in model.info if fact.label in SHOWN_FACTS)
    table.add_row("model", f"digits.apr: {facts}")
    table.add_row("built by", image.built.image.toolchain.name)
    table.add_row("ran on", execution.runner)
    table.add_row("images", agreement(same[:N_IMAGES]))
    table.add_row("edge rows", f"{agreement(same[N_IMAGES:])}: thresholds, zeros, infinity, NaN")
    for function, counts in execution.instructions.items():
        low, mean, high = counts.values.min(), counts.values.mean(), counts.values.max()
        table.add_row(f"{function}()", f"{low:,} to {high:,} {counts.unit}, {mean:,.0f} mean")
    if execution.uncounted:
        table.add_row("not counted", execution.uncounted)
    size = image.footprint
    table.add_row("flash", f"{size.flash_bytes:,} bytes: {size.text_bytes:,} code, {size.rodata_bytes:,} constants")
    table.add_row("RAM", f"{size.ram_bytes:,} bytes of variables")
    table.add_row("stack", f"{max(execution.stack_bytes.values()):,} bytes at most")
    console.print(Columns([drawn(row, label) for row, label in zip(rows[:SHOWN], labels[:SHOWN], strict=True)]))
    console.print(Panel(table, title=f"aprgen: a random forest on {TARGET}", expand=False, padding=(1, 2)))
    console.print("Agreement is with the labels that aprender, the original library, gave.")
    return 0 if same.all() else 1


def agreement(same: NDArray[np.bool_]) -> Text:
    """How many labels are those of the original library."""
    return Text(f"{same.sum()} of {len(same)} labels agree", style="green" if same.all() else "bold red")


def drawn(pixels: NDArray[np.float32], label: int) -> Panel:
    """An image, two rows of pixels per line, under what the compiled model says it is."""
    bright = (pixels >= GREY).astype(int).reshape(SIDE, SIDE)
    lines = ["".join(line) for line in BLOCKS[bright[::2], bright[1::2]]]
    return Panel(Text("\n".join(lines)), title=str(label), expand=False)


if __name__ == "__main__":
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal may not know the blocks
    try:
        sys.exit(main())
    except AprgenError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_status)
