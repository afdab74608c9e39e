"""`triptych models`: the catalogue, read from the recipes without building anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triptych.screen import SCREEN, Screen

if TYPE_CHECKING:
    from triptych.recipe import About


def models(*, screen: Screen = SCREEN) -> list[About]:
    """List the models: family, parameters (for 32x32 RGB images), what each can do, and its paper."""
    from triptych.recipe import about, names
    from triptych.words import short

    found = [about(name) for name in names()]
    screen.table(
        ("model", "family", "parameters", "can", "tuned for", "paper"),
        [
            (one.name, one.family, short(one.parameters, 2), ", ".join(one.can), ", ".join(one.tuned_for), one.paper)
            for one in found
        ],
    )
    return found
