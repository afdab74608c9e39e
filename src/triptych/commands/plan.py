"""`triptych plan`: what a training will take, from two seconds of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from triptych.flags import Flag
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
    device: Annotated[str, Flag("auto, cpu, cuda, cuda:1, mps", metavar="NAME")] = "auto",
    precision: Annotated[str | None, Flag("float32, bfloat16, auto: what is faster here", metavar="NAME")] = None,
    compile: Annotated[str | None, Flag("compile the networks: on, off, auto: where it pays", metavar="WHEN")] = None,
    set: Annotated[
        Iterable[str] | Mapping[str, Any],
        Flag("change a value of the recipe, such as model.width=96", many=True, metavar="KEY=VALUE"),
    ] = (),
    recipe: Annotated[str | None, Flag("a YAML file laid over the model's recipe", metavar="FILE")] = None,
    size: Annotated[int | str | None, Flag("bring images to 64 or 48x64 (height x width)", metavar="PIXELS")] = None,
    channels: Annotated[int | str | None, Flag("1 grey, 2 grey+alpha, 3 RGB, 4 RGBA (default: as the data)")] = None,
    fit: Annotated[str, Flag("crop, pad or stretch images of another shape", metavar="HOW")] = "crop",
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
