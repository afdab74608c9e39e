"""`triptych models`: the catalogue, read from the recipes without building anything."""

from __future__ import annotations

from triptych.recipe import About, about, names
from triptych.screen import SCREEN, Screen
from triptych.words import short


def models(*, screen: Screen = SCREEN) -> list[About]:
    """List the models: family, parameters (for 32x32 RGB images), what each can do, and its paper."""
    found = [about(name) for name in names()]
    columns = ("model", "family", "parameters", "can", "tuned for", "paper")
    rows = [(m.name, m.family, short(m.parameters, 2), _words(m.can), _words(m.tuned_for), m.paper) for m in found]
    screen.table(columns, rows)
    return found


def _words(items: tuple[str, ...]) -> str:
    return ", ".join(items)
