"""An adversarial tail, a denoiser's one-step images before a critic; few-step recipes go on where they stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tiny import TINY
from triptych import recipe, schema
from triptych.chance import Draw
from triptych.core import Batch, Model, Objective

Make = Callable[..., Any]


def built(name: str, *changes: str) -> tuple[Model, Objective]:
    """A small model told of ten classes, and its objective."""
    tree = schema.complete(recipe.read(name, "x", None, [*TINY[name], "model.conditional=true", *changes]))
    torch.manual_seed(0)
    facts = {"image_shape": (1, 8, 8), "classes": 10}
    model: Model = schema.build("model", tree["model"], facts)
    return model, schema.build("objective", tree["objective"], facts)


def batch() -> Batch:
    torch.manual_seed(1)
    return Batch(2 * torch.rand(8, 1, 8, 8) - 1, {"labels": torch.arange(8)})


def test_one_step_is_decoded_with_a_gradient() -> None:
    """What `decode` makes of noise is what `sample` makes of it, and it can be gone down."""
    for name in ("consistency", "meanflow"):
        model, _ = built(name)
        given = batch().given
        x = model.decode(Draw(range(8)).normal(1, 8, 8), given)
        torch.testing.assert_close(x, model.sample(Draw(range(8)), given), rtol=0, atol=1e-5)
        x.square().mean().backward()  # type: ignore[no-untyped-call]
        assert any(p.grad is not None and p.grad.abs().max() > 0 for p in model.parameters())


def test_the_critic_is_heard_beside_the_consistency() -> None:
    """One turn for the denoiser, whose loss is the sum; without the game's weight it is consistency alone."""
    model, both = built("consistency-gan", "objective.second.ramp=always", "objective.second.weight=1.0")
    turns = both.turns(model)
    assert [turn.name for turn in turns] == ["consistency", "critic"]
    torch.manual_seed(2)
    losses, stats = turns[0].loss(batch(), 0)
    assert losses.mean().item() > stats["generator_loss"].item() > 0
    (alone,) = both.first.turns(model)  # type: ignore[union-attr, operator]
    torch.manual_seed(2)
    torch.testing.assert_close(
        (alone.loss(batch(), 0)[0].mean() + stats["generator_loss"]).item(), losses.mean().item()
    )
    critic = list(turns[1].moves)
    turns[1].loss(batch(), 0)[0].mean().backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is None for p in model.parameters())
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in critic)


@pytest.mark.parametrize("name", ["consistency", "consistency-gan", "meanflow"])
def test_a_stopped_run_goes_on_bit_for_bit(name: str, train_tiny: Make) -> None:
    train_tiny(name, 2, "parts")
    parts, whole = train_tiny(name, 4, "parts"), train_tiny(name, 4, "whole")
    for file in ("model.safetensors", "state.safetensors"):
        one, two = (load_file(Path(run.checkpoint) / file) for run in (parts, whole))
        assert one.keys() == two.keys()
        assert all(torch.equal(one[key], two[key]) for key in one)
