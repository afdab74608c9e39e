"""A codec, then its prior: who moves when, on what, and from whose weights."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import triptych
from tiny import BATCH, TINY
from triptych import chance, recipe, schema, store
from triptych.core import Batch, Turn
from triptych.diffusion.objective import Denoising
from triptych.errors import UsageError
from triptych.together.latent import HORIZON, Latent
from triptych.together.staged import EVERY, Staged
from triptych.vae.objective import Elbo

Make = Callable[..., Any]
NAME = "latent-flow"


@pytest.fixture
def model() -> Latent:
    node = schema.complete(recipe.read(NAME, "digits", None, [*TINY[NAME], "model.codec.dropout=0.5"]))["model"]
    chance.reseed(0)
    made: Latent = schema.build("model", node, {"image_shape": (1, 8, 8), "classes": 0})
    return made


def test_each_stage_has_its_turns(model: Latent) -> None:
    bound, denoise = Staged(Elbo(), Denoising(), 100).turns(model)
    assert (bound.name, bound.span) == ("bound", (0, 100))
    assert (denoise.name, denoise.span[0]) == ("denoise", 100)
    assert [bound.on(99), bound.on(100), denoise.on(99), denoise.on(10**9)] == [True, False, False, True]
    assert {id(p) for p in bound.moves} == {id(p) for p in model.codec.parameters()}
    assert {id(p) for p in denoise.moves} == {id(p) for p in model.prior.parameters()}
    assert not any(Staged(Elbo(), Denoising(), 0).turns(model)[0].on(seen) for seen in (0, 1, 100))


def test_the_prior_is_shown_standardised_draws(model: Latent) -> None:
    shown: list[Batch] = []

    class Watch(Denoising):
        def turns(self, model: Any) -> list[Turn]:  # type: ignore[override]
            def loss(batch: Batch, seen: int) -> Any:
                shown.append(batch)
                return batch.images.flatten(1).mean(1), {}

            return [Turn("denoise", list(model.parameters()), loss)]

    x = torch.rand(512, 1, 8, 8) * 2 - 1
    _, denoise = Staged(Elbo(), Watch(), 0).turns(model)
    model.train()
    for _ in range(2):
        chance.reseed(7)
        denoise.loss(Batch(x), 0)
    u = shown[-1].images
    assert u.shape == (512, 4, 1, 1)
    assert not u.requires_grad
    torch.testing.assert_close(u.mean(0).flatten(), torch.zeros(4), rtol=0, atol=1e-3)
    torch.testing.assert_close(u.std(0).flatten(), torch.ones(4), rtol=0, atol=1e-2)
    assert not model.codec.training  # without dropout: the same noise gives the same draw
    assert torch.equal(shown[-2].images, u)
    before = model.standard.images.item()
    denoise.loss(Batch(x), 2 * HORIZON)  # settled
    model.eval()
    denoise.loss(Batch(x), 0)  # held-out images
    assert model.standard.images.item() == before == 1024


def test_the_standard_form_follows_the_codec_now_and_then(model: Latent) -> None:
    bound, _ = Staged(Elbo(), Denoising(), 10**6).turns(model)
    model.train()
    for step in range(2 * EVERY):
        bound.loss(Batch(torch.rand(8, 1, 8, 8)), 8 * step)
    assert model.standard.images.item() == 16


def test_stages_that_cannot_be(model: Latent) -> None:
    with pytest.raises(UsageError, match="kind latent, no Diffusion"):
        Staged(Elbo(), Denoising(), 0).turns(model.prior)
    with pytest.raises(UsageError, match="switch is -1"):
        Staged(Elbo(), Denoising(), -1)


def test_the_codec_stands_still_after_the_switch(train_tiny: Make) -> None:
    """The weights of the codec at the switch are those at the end; those of the prior are not."""
    changes = ("ema=null", f"objective.switch={20 * BATCH}")
    before = load_file(Path(train_tiny(NAME, 20, changes=changes).checkpoint) / "model.safetensors")
    run = train_tiny(NAME, 40, changes=changes)
    after = load_file(Path(run.checkpoint) / "model.safetensors")
    same = {key for key in before if torch.equal(before[key], after[key])}
    assert {key for key in before if key.startswith("codec.")} <= same
    assert not any(key in same for key in before if key.startswith("prior.net.enter"))
    assert "standard.mean" not in same


def test_a_prior_for_the_codec_of_another_run(train_tiny: Make, tmp_path: Path) -> None:
    """The codec is that run's and does not move; the new run needs the old one neither to sample nor to go on."""
    old = train_tiny("vae", 30, "old", changes=("model.latent=6",))
    asked = (f"weights.codec={old.run}", "objective.switch=0", "model.codec.latent=3")
    new = train_tiny(NAME, 5, "new", changes=asked)
    kept = load_file(Path(old.checkpoint) / "model.safetensors")
    found = load_file(Path(new.checkpoint) / "model.safetensors")
    for key, tensor in kept.items():
        torch.testing.assert_close(found[f"codec.{key}"], tensor, rtol=1e-5, atol=1e-6)  # by the average of equals
    assert store.read_recipe(new.run)["model"]["codec"]["latent"] == 6
    whole = train_tiny(NAME, 12, "whole", changes=asked)
    shutil.rmtree(old.run)
    assert triptych.load(new.run).latent_shape == (6, 1, 1)
    again = train_tiny(NAME, 12, "new", changes=asked)
    for file in ("model.safetensors", "state.safetensors"):
        a, b = (load_file(Path(run.checkpoint) / file) for run in (whole, again))
        assert all(torch.equal(a[key], b[key]) for key in a)


def test_a_whole_model_starts_from_another_run(train_tiny: Make) -> None:
    old = train_tiny("vae", 3, "old")
    still = [f"optimisers.{turn}.rate=1.0e-12" for turn in store.read_recipe(old.run)["optimisers"]]
    new = train_tiny("vae", 1, "new", changes=(f"weights.={old.run}", *still))
    kept, found = (load_file(Path(run.checkpoint) / "model.safetensors") for run in (old, new))
    for key, tensor in kept.items():
        torch.testing.assert_close(found[key], tensor, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("asked", "how", "says"),
    [
        ("weights.codec", {"size": 16}, r"weights\.codec: .*old is for images of 8x8x1.* this run has 16x16x1"),
        ("weights.codex", {}, r"weights\.codex: the model latent has no part 'codex'; did you mean 'codec'"),
    ],
)
def test_weights_that_do_not_fit(train_tiny: Make, asked: str, how: dict[str, Any], says: str) -> None:
    old = train_tiny("vae", 1, "old")
    with pytest.raises(UsageError, match=says):
        train_tiny(NAME, 1, "new", changes=(f"{asked}={old.run}",), **how)


def test_weights_of_nothing(train_tiny: Make, tmp_path: Path) -> None:
    with pytest.raises(triptych.errors.CheckpointError, match="does not exist"):
        train_tiny(NAME, 1, changes=(f"weights.codec={tmp_path / 'nowhere'}",))
