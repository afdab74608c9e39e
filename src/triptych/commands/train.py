"""`triptych train`: from a recipe and images to a run folder; the same line again resumes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from triptych.errors import NumericsError, UsageError
from triptych.flags import Changes, Channels, Compile, Device, Fit, Flag, Precision, RecipeFile, Size
from triptych.place import place
from triptych.screen import SCREEN, Screen

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from triptych.play import Habits
    from triptych.run import Budget, Run, Wishes

SOON = 60.0  # seconds of training, for which nobody needs a plan


class Trained(NamedTuple):
    """What became of a run."""

    run: str
    model: str
    family: str
    parameters: int  # of the model alone, which is what is shipped
    training_parameters: int  # with everything that is trained beside it
    seen: int
    steps: int
    seconds: float
    images_per_second: float
    peak_memory: int
    memory_of: str
    energy: float | None  # joules of the whole machine in this start; None where not readable
    device: str
    finished: bool
    checkpoint: str | None
    grid: str | None


def train(
    model: Annotated[str, Flag("a model of the catalogue, see 'triptych models'")],
    data: Annotated[str, Flag("a data set's name, a folder, zip or tar of images, an .npz, a pack, or hf:NAME")],
    *,
    out: Annotated[str | None, Flag("the run folder (default: runs/MODEL-DATA)", ("-o", "--out"), "FOLDER")] = None,
    for_: Annotated[float | str | None, Flag("train for so long: 90s, 10min, 2h", ("--for",), "TIME")] = None,
    images: Annotated[int | str | None, Flag("train until so many images were seen: 200k, 2M", metavar="N")] = None,
    flops: Annotated[
        float | str | None, Flag("train until so many operations were spent: 1e15, 300T", metavar="N")
    ] = None,
    seed: Annotated[int | str, Flag("decides first weights, order and noise", metavar="N")] = 0,
    device: Device = "auto",
    precision: Precision = None,
    compile: Compile = None,
    set: Changes = (),
    recipe: RecipeFile = None,
    size: Size = None,
    channels: Channels = None,
    fit: Fit = "crop",
    show_every: Annotated[float | str, Flag("draw a grid of samples this often", metavar="TIME")] = "1min",
    save_every: Annotated[float | str, Flag("write a checkpoint this often", metavar="TIME")] = "5min",
    scores: Annotated[
        int | str | None, Flag("score so many times over the budget; 0: never (default: as time allows)", metavar="N")
    ] = None,
    on_divergence: Annotated[str, Flag("stop, or rollback: go back, with half the rate", metavar="WAY")] = "stop",
    shard: Annotated[bool, Flag("each process keeps a part of optimisers and averages, not all")] = False,
    tensorboard: Annotated[bool, Flag("also write TensorBoard files into the run folder")] = False,
    screen: Screen = SCREEN,
) -> Trained:
    """Train MODEL on DATA. The same line again goes on where the run stopped.

    Stops when --for, --images or --flops is reached (default: the recipe's images), or on Ctrl-C, which saves first.
    Time counts training steps alone, over all starts of the run. A score is FD-bundled of 1,000 samples; the weights
    with the best one are kept in RUN/best. 'torchrun --nproc-per-node N -m triptych train ...' takes N processes.
    """
    from pathlib import Path

    from triptych import flops as counting
    from triptych import machine
    from triptych.play import play
    from triptych.quantities import count
    from triptych.ranks import aside
    from triptych.ranks.joining import joined
    from triptych.run import Budget, opened
    from triptych.settling import settled

    budget = Budget.of(images, for_, flops)
    habits = _habits(show_every, save_every, scores, on_divergence)
    values = changes_of(set, precision=precision, compile=compile)
    wishes = wishes_of(model, data, count(seed, "--seed", 0), values, recipe, size, channels, fit)
    screen, folder = screen if place().leads else Screen(quiet=True), Path(out) if out else None
    with joined(device) as where, opened(wishes, folder, where, screen, settled(budget, screen), shard) as run:
        _introduce(run, budget, screen)
        writers = (_tensorboard(run.folder),) if tensorboard and place().leads else ()
        with aside():
            budget = budget.in_images(lambda flops: counting.of_training(run.tree, run.splits).images(flops))
            _plan(run, budget, screen)
        before = machine.energy()
        made = play(run, budget.or_else(run.tree["images"]), habits, writers)
        result = _trained(run, machine.energy_since(before))
    if made.checkpoint:
        screen.say(f"Wrote {made.checkpoint} and {made.grid}.")
    return result


def _habits(show_every: float | str, save_every: float | str, scores: int | str | None, on_divergence: str) -> Habits:
    from triptych.play import Habits
    from triptych.quantities import count, seconds
    from triptych.rescue import checked

    return Habits(
        seconds(show_every, "--show-every"),
        seconds(save_every, "--save-every"),
        None if scores is None else count(scores, "--scores", 0, 1000),
        checked(on_divergence),
    )


def _introduce(run: Run, budget: Budget, screen: Screen) -> None:
    """What is about to be trained, in one line, and a warning where it is likely to be learnt by heart."""
    source = run.splits.train
    channels, height, width = source.image_shape
    what = f"{len(source):,} training images of {height}x{width}x{channels} from {run.splits.name}"
    screen.say(f"{run.name}: {_size(run.cast.model):,} parameters; {what}; on {run.device}, into {run.folder}.")
    _warn_of_copies(run, budget, screen)


def _plan(run: Run, budget: Budget, screen: Screen) -> None:
    """What it will take; not where nobody reads it, it is over soon, or the run has begun and its rate is known."""
    from triptych.planning import plan_of, tell

    soon = budget.seconds is not None and budget.seconds <= SOON
    if not (screen.quiet or soon or run.state.seen):
        with suppress(NumericsError):  # the training will tell, and keep the step
            tell(plan_of(run.tree, run.splits, run.device, budget, run.folder), screen)


def _warn_of_copies(run: Run, budget: Budget, screen: Screen) -> None:
    """Say before training that the model is likely to learn images by heart, where it is."""
    from triptych.leaks.copies import too_few

    images = budget.images or (0 if budget.seconds else run.tree["images"])
    warning = too_few(len(run.splits.train), images / len(run.splits.train))
    if warning:
        screen.warn(warning)


def _size(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def _trained(run: Run, energy: float | None) -> Trained:
    from triptych import devices, store

    state = run.state
    memory, memory_of = devices.peak_memory(run.device)
    checkpoints, grids = store.checkpoints(run.folder), sorted((run.folder / "samples").glob("*.png"))
    return Trained(
        run=str(run.folder),
        model=run.name,
        family=str(run.tree["about"]["family"]),
        parameters=_size(run.cast.model),
        training_parameters=_size(run.cast.model, run.cast.objective),
        seen=state.seen,
        steps=state.steps,
        seconds=round(state.seconds, 3),
        images_per_second=round(state.seen / max(state.seconds, 1e-9), 1),
        peak_memory=memory,
        memory_of=memory_of,
        energy=energy,
        device=str(run.device),
        finished=True,
        checkpoint=str(checkpoints[-1]) if checkpoints else None,
        grid=str(grids[-1]) if grids else None,
    )


def _tensorboard(folder: Path) -> Any:
    """A TensorBoard writer in the run folder."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError("--tensorboard needs the package tensorboard: pip install 'triptych[logging]'.") from error
    return SummaryWriter(str(folder / "tensorboard"))


def wishes_of(
    model: str,
    data: str,
    seed: int,
    changes: tuple[str, ...],
    recipe: str | None,
    size: int | str | None,
    channels: int | str | None,
    fit: str,
) -> Wishes:
    """What the flags say is to be trained, sizes read and checked."""
    from triptych.quantities import count
    from triptych.quantities import size as sides
    from triptych.run import Wishes

    depth = None if channels is None else count(channels, "--channels", 1, 4)
    return Wishes(model, str(data), seed, changes, recipe, None if size is None else sides(size, "--size"), depth, fit)


def changes_of(values: Iterable[str] | Mapping[str, Any], **flags: str | None) -> tuple[str, ...]:
    """Changes given as "key=value" or as a mapping, and those of flags that stand for a value, as "key=value"."""
    import json

    from triptych.ways import changes

    if isinstance(values, Mapping):
        values = [f"{key}={json.dumps(value)}" for key, value in values.items()]
    return (*([values] if isinstance(values, str) else values), *changes(**flags))
