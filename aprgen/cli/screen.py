"""How reports look: boxes of labelled lines and tables, by rich. Every text is shown as it is: no markup, no escapes.

Knows nothing of models. Without a terminal there is no colour, and lines are 100 columns wide.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

WIDTH = 100
WIDEST = 120

GOOD, BAD, DIM, NEUTRAL = "green", "bold red", "dim", ""


@dataclass(frozen=True)
class Line:
    """A label and its value, which the caller has made printable; line breaks in it count."""

    label: str
    value: str
    style: str = NEUTRAL


@dataclass(frozen=True)
class Cell:
    text: str
    style: str = NEUTRAL


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Let the caller know; rich would end the process with status 1."""
        raise BrokenPipeError


def console() -> Console:
    """For stdout."""
    terminal = sys.stdout is not None and sys.stdout.isatty()
    made = _Console(
        file=sys.stdout,
        force_terminal=terminal,
        color_system="auto" if terminal else None,
        highlight=False,
        markup=False,
        emoji=False,
        width=None if terminal else WIDTH,
    )
    if made.width > WIDEST:
        made.width = WIDEST
    return made


def print_box(out: Console, title: str, lines: Sequence[Line], style: str = NEUTRAL) -> None:
    """A box with labels at the left and values at the right."""
    inside = Table.grid(padding=(0, 2, 0, 0))
    inside.add_column(style=DIM, no_wrap=True, max_width=28)
    inside.add_column(overflow="fold")
    for line in lines:
        inside.add_row(Text(line.label), Text(line.value, style=line.style))
    out.print(
        Panel(
            inside,
            title=Text(f" {title} ", style="bold"),
            title_align="left",
            box=box.ROUNDED,
            border_style=style or "blue",
            padding=(0, 1),
            expand=True,
        )
    )


def print_table(
    out: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[Cell | str]], right: Sequence[str] = ()
) -> None:
    """A table; the columns named in `right` are aligned to the right."""
    table = Table(
        title=Text(title) if title else None,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        border_style="blue",
        header_style="bold",
        show_lines=any("\n" in _text(cell).plain for row in rows for cell in row),
    )
    for column in columns:
        table.add_column(Text(column), justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_text(cell) for cell in row))
    out.print(table)


def _text(cell: Cell | str) -> Text:
    return Text(cell) if isinstance(cell, str) else Text(cell.text, style=cell.style)
