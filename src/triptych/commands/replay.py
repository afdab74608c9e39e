"""`triptych replay`: the step again at which a training diverged."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from triptych.flags import Device, Flag
from triptych.screen import SCREEN, Screen


class Replayed(NamedTuple):
    """What the step shows when it is played again."""

    turn: str
    seen: int
    loss: str
    norm: str  # of all gradients together
    images_finite: bool
    first: str | None  # the layer whose answer is the first that is not finite; None where all are finite
    gradients: list[str]  # the parameters whose gradient is not finite


def replay(
    run: Annotated[str, Flag("a run folder that holds a folder diverged/")],
    *,
    device: Device = "auto",
    screen: Screen = SCREEN,
) -> Replayed:
    """Play the step again at which the training of RUN diverged, and say where its numbers stop being finite.

    Nothing is written and nothing moves. The images and all noise are those of the step.
    """
    from math import isfinite

    from triptych.devices import pick
    from triptych.errors import CheckpointError
    from triptych.rescue import again

    found = again(run, pick(device), screen)
    numbers = f"the loss {found.loss} and gradients of norm {found.norm}"
    screen.say(f"The turn {found.turn} after {found.seen:,} images has {numbers}.")
    if not found.images_finite:
        screen.say("Its images are not all finite.")
    screen.say(f"The first answer that is not finite is that of {found.first}." if found.first else
               "The answers of all layers are finite.")  # fmt: skip
    if found.gradients:
        rest = f" and {len(found.gradients) - 1} more parameters" if len(found.gradients) > 1 else ""
        screen.say(f"The gradients of {found.gradients[0]}{rest} are not finite.")
    if isfinite(float(found.loss)) and isfinite(float(found.norm)):
        raise CheckpointError(f"The step of {run} is finite when it is played again: the fault was the machine's.")
    return Replayed(*found)
