"""The zoo: small trained models that come with the package, called zoo/NAME wherever a run is asked for.

    zoo/NAME/model.safetensors  averaged weights, in half precision
    zoo/NAME/recipe.yaml        what was trained, on what, with every default written out
    zoo/NAME/score.json         the command that made it, its scores, its data's licence
    zoo/NAME/manifest.json      size and SHA-256 of each file

`python tools/zoo.py NAME` makes such a folder.
"""

from __future__ import annotations

from pathlib import Path

from triptych.errors import UsageError, nearest

HERE = Path(__file__).parent


def names() -> tuple[str, ...]:
    """The models of the zoo."""
    return tuple(sorted(path.parent.name for path in HERE.glob("*/manifest.json")))


def place(run: str | Path) -> Path:
    """The folder that `run` means: that of the zoo for zoo/NAME, unless the user has a folder of this name.

    Raises a `UsageError` for a name that the zoo does not have.
    """
    path = Path(run)
    if path.parts[:1] != ("zoo",) or path.exists():
        return path
    name = "/".join(path.parts[1:])
    if name not in names():
        raise UsageError(f"The zoo has no model {name!r}; {nearest(name, names())}")
    return HERE / name
