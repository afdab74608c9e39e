"""The comparison for a README: title, verdict, one table, the pictures, and how it was measured."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from triptych.report.entries import Entry, Heading
from triptych.report.table import BETTER, NONE, Cell, Row
from triptych.report.verdict import Verdict
from triptych.words import join

_MARKUP = re.compile(r"([\\`*_{}\[\]#!|~$:@]|^[-+])")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, on one line; no link, markup or cell comes of it.

    >>> escaped("a_b | <i>")
    'a\\\\_b \\\\| &lt;i&gt;'
    """
    line = "".join(_ENTITIES.get(letter, letter) for letter in " ".join(text.split()))
    return _MARKUP.sub(r"\\\1", line)


def readme(results: Sequence[Entry], heading: Heading, found: Verdict, rows: Sequence[Row],
           files: Mapping[int, str], drawings: Mapping[str, tuple[str, str]]) -> str:  # fmt: skip
    """The whole file; `files` are the pictures' names by the place of their model, `drawings` the charts by title."""
    names = [entry.name for entry in results]
    parts = [
        f"# {escaped(heading.data)}",
        escaped(f"{join(names)}, {heading.budget} each; {heading.about}."),
        *([escaped(heading.caption)] if heading.caption else []),
        "\n".join(f"- {escaped(sentence)}" for sentence in found.sentences),
        _table(names, rows),
        *(f"## {title}\n\n![{escaped(alt)}]({name})" for title, (name, alt) in drawings.items()),
        "## Pictures",
        "None is picked: the same seeds for each model.",
        f"Real images:\n\n![Real images of {escaped(heading.data)}](real.png)",
        *(f"{escaped(names[index])}:\n\n![Images made by {escaped(names[index])}]({quote(name)})"
          for index, name in files.items()),
        "## How it was measured",
        "\n".join(f"- {escaped(note)}" for note in _notes(heading, rows)),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _table(names: Sequence[str], rows: Sequence[Row]) -> str:
    """A row for each measure, a column for each model, and one for real images where they have numbers."""
    real = any(row.beside for row in rows)
    head = ["", *map(escaped, names), *(["real, held out"] if real else [])]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for row in rows:
        last = [_cell(row.beside or Cell(None, NONE))] if real else []
        lines.append([f"{escaped(row.label)} {BETTER[row.better]}".strip(), *map(_cell, row.cells), *last])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(cell: Cell) -> str:
    more = ", ".join(filter(None, (cell.interval, cell.aside)))
    text = escaped(f"{cell.words} ({more})" if more else cell.words)
    return f"**{text}**" if cell.best else text


def _notes(heading: Heading, rows: Sequence[Row]) -> list[str]:
    date = f"{heading.date.day} {heading.date:%B %Y}"
    failures = [f"{heading.machine}; {date}.", heading.scored, *heading.notes]
    return [note for note in failures if note] + [f"{row.label}: {row.note}" for row in rows if row.note]
