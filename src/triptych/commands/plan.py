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
    from triptych.commands.train import changes_of
    from triptych.planning import plan_of, tell
    from triptych.quantities import count
    from triptych.quantities import size as sides
    from triptych.run import Budget, Wishes, tree_of, with_models_of

    recipes.about(model)
    budget, where = Budget.of(images, for_), devices.pick(device)
    depth = None if channels is None else count(channels, "--channels", 1, 4)
    wished = None if size is None else sides(size, "--size")
    tree, splits = tree_of(Wishes(model, str(data), 0, tuple(changes_of(set)), recipe, wished, depth, fit), screen)
    folder = Path(out) if out else Path("runs") / f"{model}-{splits.name}"
    with devices.threads_for(splits.train.image_shape[1:], where):
        found = plan_of(with_models_of(tree, folder), splits, where, budget, folder)
    tell(found, screen)
    return found
