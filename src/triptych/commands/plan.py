"""`triptych plan`: what a training will take, from two seconds of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from triptych.flags import Changes, Channels, Compile, Device, Fit, Flag, Precision, RecipeFile, Size
from triptych.screen import SCREEN, Screen

if TYPE_CHECKING:
    from triptych.planning import Plan


def plan(
    model: Annotated[str, Flag("a model of the catalogue, see 'triptych models'")],
    data: Annotated[str, Flag("a data set's name, a folder, zip or tar of images, an .npz, a pack, or hf:NAME")],
    *,
    out: Annotated[str | None, Flag("the run folder (default: runs/MODEL-DATA)", ("-o", "--out"), "FOLDER")] = None,
    for_: Annotated[float | str | None, Flag("how much so long trains: 90s, 10min, 2h", ("--for",), "TIME")] = None,
    images: Annotated[int | str | None, Flag("how long so many images take: 200k, 2M", metavar="N")] = None,
    device: Device = "auto",
    precision: Precision = None,
    compile: Compile = None,
    set: Changes = (),
    recipe: RecipeFile = None,
    size: Size = None,
    channels: Channels = None,
    fit: Fit = "crop",
    screen: Screen = SCREEN,
) -> Plan:
    """Say what training MODEL on DATA takes: images a second, time, memory and disk; trains nothing.

    Two seconds of real steps are played with a copy that is thrown away. The flags are those of train.
    """
    from pathlib import Path

    from triptych import devices
    from triptych import recipe as recipes
    from triptych.commands.train import changes_of, wishes_of
    from triptych.planning import plan_of, tell
    from triptych.run import Budget, tree_of, with_models_of
    from triptych.settling import settled

    recipes.about(model)
    budget, where = Budget.of(images, for_), devices.pick(device)
    values = changes_of(set, precision=precision, compile=compile)
    tree, splits = tree_of(wishes_of(model, data, 0, values, recipe, size, channels, fit), screen)
    folder = Path(out) if out else Path("runs") / f"{model}-{splits.name}"
    with devices.threads_for(splits.train.image_shape[1:], where):
        tree = settled(budget, screen)(with_models_of(tree, folder), splits, where, folder)
        found = plan_of(tree, splits, where, budget, folder)
    tell(found, screen)
    return found
