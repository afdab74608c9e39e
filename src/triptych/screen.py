"""What a person sees while a command works: sentences, tables and one live progress line.

Everything goes to standard error, so that standard output holds results alone. A quiet screen
says nothing. rich is imported when the first line is drawn, not before.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from triptych.words import shown


class Line(Protocol):
    """A live line: how far a piece of work is."""

    def __call__(self, done: float, text: str = "") -> None:
        """Show `done` of the total, with a few words behind it."""
        ...


class Screen:
    """Draws on standard error; `quiet` draws nothing."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self._console: Any = None

    @property
    def console(self) -> Any:
        if self._console is None:
            from rich.console import Console

            self._console = Console(file=sys.stderr, highlight=False, soft_wrap=True)
        return self._console

    def say(self, text: str) -> None:
        """One sentence, as it is: no markup and no control code is obeyed in it, since it may hold file names."""
        if not self.quiet:
            self.console.print(shown(text, "\n"), markup=False)

    def warn(self, text: str) -> None:
        """A sentence that the user should not miss."""
        if not self.quiet:
            self.console.print("warning: " + shown(text, "\n"), style="yellow", markup=False)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A plain table."""
        if self.quiet:
            return
        from rich.table import Column, Table
        from rich.text import Text

        table = Table(
            Column(columns[0], no_wrap=True),
            *columns[1:],
            box=None,
            pad_edge=False,
            header_style="bold",
            padding=(0, 2, 0, 0),
        )
        for row in rows:
            table.add_row(*(Text(shown(str(cell), "\n")) for cell in row))
        self.console.print(table)

    @contextmanager
    def progress(self, title: str, total: float, keep: bool = True) -> Iterator[Line]:
        """A bar with the time left; the body calls the line with what is done and a few words.

        Unless it is to `keep`, the bar goes away when the work is done.
        """
        if self.quiet or not (keep or self.console.is_terminal):
            yield lambda done, text="": None
            return
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(24),
            TaskProgressColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[text]}", markup=False),
            console=self.console,
            refresh_per_second=4,
            transient=not keep,
        )
        with bar:
            task = bar.add_task(title, total=total, text="")

            def line(done: float, text: str = "") -> None:
                bar.update(task, completed=min(done, total), text=text)

            yield line


SCREEN = Screen()
