"""`triptych card`: what a trained model is, how it was made and how good it is, as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from triptych.flags import RUN, Flag
from triptych.screen import SCREEN, Screen

if TYPE_CHECKING:
    from pathlib import Path


class Carded(NamedTuple):
    """A model's card."""

    text: str
    path: str | None  # where it was written


def card(
    run: Annotated[str, Flag(RUN)],
    *,
    out: Annotated[str | None, Flag("the file (default: shown and not written)", ("-o", "--out"), "FILE.md")] = None,
    screen: Screen = SCREEN,
) -> Carded:
    """Write the card of RUN's model: recipe, budget, data, and scores where `triptych evaluate RUN` took them."""
    from pathlib import Path

    from triptych import store
    from triptych.report.card import card as written

    checkpoint, tree = store.locate(run), store.read_recipe(run)
    made, seen = _read(checkpoint / "score.json"), _read(checkpoint / "manifest.json")["seen"]
    text = written(str(run), tree, seen, made, made.get("scores") or _evaluated(checkpoint))
    if out is None:
        screen.say(text)
        return Carded(text, None)
    Path(out).write_text(text, encoding="utf-8")
    screen.say(f"Wrote {out}.")
    return Carded(text, out)


def _evaluated(checkpoint: Path) -> dict[str, Any] | None:
    """What the last evaluation of the run of this checkpoint found."""
    from triptych.report.card import figures

    found = _read(checkpoint.parent.parent / "evaluation.json")
    return figures(found) if found else None


def _read(path: Path) -> dict[str, Any]:
    """A JSON file, {} where there is none."""
    from triptych.intake import json_of, text_of

    return dict(json_of(text_of(path))) if path.is_file() else {}
