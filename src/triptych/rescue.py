"""What is done when training diverges: the step is kept for a replay, and the run stops or goes back.

It goes back to its newest checkpoint with its learning rates halved, at most three times: from the same state with
the same rates it would diverge again at the same step, since all chance follows from the seed. From the second time
on it goes back to the checkpoint before that, since the newest may have been on its way already.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from triptych import chance, ranks, store, ways, zoo
from triptych.data import open_data
from triptych.errors import CheckpointError, NumericsError, UsageError, nearest
from triptych.intake import json_of, text_of
from triptych.place import place
from triptych.run import Run, build, resume
from triptych.screen import Screen
from triptych.training.divergence import Diverged, wrong_gradients
from triptych.training.state import EASE, State

WAYS = ("stop", "rollback")
MOST = 3


def checked(way: str) -> str:
    """The policy; raises a `UsageError` for one that there is not."""
    if way not in WAYS:
        raise UsageError(f"--on-divergence {way}: there is no such way; {nearest(way, WAYS)}")
    return way


def rescue(run: Run, error: NumericsError, way: str) -> None:
    """Keep the step, then bring the run back to its newest checkpoint, or raise what tells the user of it."""
    told = f"{error} {_kept(run, error)}"
    if way == "stop" or run.state.eased >= MOST or not _everywhere(error):
        again = f" It went back {run.state.eased} times before." if run.state.eased else ""
        error.args = (f"{told}{again} {_advice(error)}",)
        raise error
    seconds, eased, seen = run.state.seconds, run.state.eased + 1, run.state.seen
    leads = ranks.leads()
    with ranks.in_turn():
        if leads and eased > 1:
            store.forget_newest(run.folder)
        resume(run)
        run.state.seconds, run.state.eased = seconds, eased
        run.cast.ease(eased)
    run.screen.warn(
        f"{told} Going back from {seen:,} to {run.state.seen:,} images, with learning rates at "
        f"{EASE**eased:.3g} of the recipe's ({eased} of {MOST} times)."
    )


def _kept(run: Run, error: NumericsError) -> str:
    if not isinstance(error, Diverged):
        return "The last checkpoint is good."
    leads = ranks.leads()
    with ranks.in_turn():
        if leads:
            _keep(run, error)
    return f"The step is kept in {run.folder / 'diverged'}: 'triptych replay {run.folder}' plays it again."


def _keep(run: Run, error: Diverged) -> None:
    facts = {"turn": error.turn, "seen": error.seen, "loss": str(error.loss), "gradients": error.gradients}
    with run.cast.whole(moments=True):
        tensors = {"model": run.cast.shown.state_dict(), "state": run.cast.tensors()}
        store.save_diverged(run.folder, error.seen, run.tree, tensors, run.state.as_dict(), facts)


def _advice(error: NumericsError) -> str:
    turn = error.turn if isinstance(error, Diverged) else "NAME"
    return (
        f"Lower the learning rate or clip the gradients (--set optimisers.{turn}.clip=1), or give "
        "--on-divergence rollback."
    )


def _everywhere(error: NumericsError) -> bool:
    """Whether all processes of the run know of it."""
    return error.everywhere or place().world == 1


class Step(NamedTuple):
    """What a step shows when it is played again."""

    turn: str
    seen: int
    loss: str
    norm: str  # of all gradients together
    images_finite: bool
    first: str | None  # the layer whose answer is the first that is not finite
    gradients: list[str]


def again(folder: str | Path, device: torch.device, screen: Screen) -> Step:
    """Play a turn that was kept as it was, and look at all that it computes; raises a `CheckpointError`."""
    run, name = _as_it_was(zoo.place(folder), device, screen)
    turn = next(turn for turn in run.turns if turn.name == name)
    batch = run.stream.batch(run.state.seen)
    first: list[str] = []
    owners = {"model": run.cast.model, "objective": run.cast.objective}
    hooks = [
        module.register_forward_hook(_noticing(f"{owner}.{path} ({type(module).__name__})", first))
        for owner, root in owners.items()
        for path, module in root.train().named_modules()
        if path
    ]
    for parameter in (p for root in owners.values() for p in root.parameters()):
        parameter.requires_grad_(any(parameter is one for one in turn.moves))
    chance.reseed(run.state.seed, run.state.seen, turn.name)
    with ways.region(run.tree, device):
        losses, _ = turn.loss(batch, run.state.seen)
    loss = losses.float().mean()
    loss.backward()  # type: ignore[no-untyped-call]
    for hook in hooks:
        hook.remove()
    norm = nn.utils.get_total_norm([p.grad for p in turn.moves if p.grad is not None])
    return Step(name, run.state.seen, f"{loss.item():g}", f"{norm.item():g}", bool(batch.images.isfinite().all()),
                first[0] if first else None, list(wrong_gradients(turn, run.cast)))  # fmt: skip


def _as_it_was(folder: Path, device: torch.device, screen: Screen) -> tuple[Run, str]:
    """The run before the step that was kept, and the turn's name."""
    kept = folder / "diverged"
    if not kept.is_dir():
        raise CheckpointError(f"{folder} holds no diverged/: no step of it was kept.")
    store.verify(kept, (*store.FOR_TRAINING, "step.json"))
    tree, name = store.read_recipe(kept), str(json_of(text_of(kept / "step.json"))["turn"])
    data = tree["data"]
    depth, *sides = data["image_shape"]
    splits = open_data(data["where"], size=tuple(sides), channels=depth, fit=data["fit"], note=screen.say)
    if splits.train.fingerprint != data["fingerprint"]:
        raise CheckpointError(f"{data['where']} no longer holds the images that the run was trained on.")
    run = build(folder, {**tree, "compile": False}, splits, device, screen)
    shown, held, counters = store.read_state(kept)
    run.cast.restore(shown, held)
    run.state = State.of(counters)
    return run, name


def _noticing(name: str, first: list[str]) -> Callable[[nn.Module, Any, Any], None]:
    """A hook that notes the name of a layer whose answer is not finite."""

    def look(module: nn.Module, asked: Any, answer: Any) -> None:
        if isinstance(answer, Tensor) and answer.is_floating_point() and not answer.isfinite().all():
            first.append(name)

    return look
