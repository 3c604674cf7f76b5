"""A progress bar on stderr for work that takes more than a second, and only on a terminal.

Knows nothing of the work. rich is imported when the second has passed, by the waiting thread.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PATIENCE_SECONDS = 1.0


class Steps:
    """Work in `total` steps; `next` names the one that begins."""

    def __init__(self, total: int) -> None:
        self._lock = threading.Lock()
        self._total = total
        self._begun = 0
        self._what = ""
        self._shown: tuple[Progress, TaskID] | None = None
        self._ended = False

    def next(self, what: str) -> None:
        with self._lock:
            self._begun, self._what = self._begun + 1, what
            if self._shown is not None:
                progress, task = self._shown
                progress.update(task, description=what, completed=self._begun - 1)

    def say(self, what: str) -> None:
        """Name a part of the step that goes on."""
        with self._lock:
            self._what = what
            if self._shown is not None:
                progress, task = self._shown
                progress.update(task, description=what)

    def show(self) -> None:
        """Draw the bar from now on."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        name = TextColumn("{task.description}", markup=False)
        with self._lock:
            if self._ended:
                return
            console = Console(file=sys.stderr, markup=False, emoji=False, highlight=False)
            bar = (name, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            progress = Progress(*bar, console=console, transient=True)
            progress.start()
            task = progress.add_task(self._what, total=self._total, completed=max(0, self._begun - 1))
            self._shown = (progress, task)

    def end(self) -> None:
        with self._lock:
            self._ended = True
            if self._shown is not None:
                self._shown[0].stop()


@contextmanager
def steps(total: int) -> Iterator[Steps]:
    """A bar while the work inside lasts."""
    work = Steps(total)
    timer = threading.Timer(PATIENCE_SECONDS, work.show)
    timer.daemon = True
    if sys.stderr is not None and sys.stderr.isatty():
        timer.start()
    try:
        yield work
    finally:
        timer.cancel()
        work.end()
