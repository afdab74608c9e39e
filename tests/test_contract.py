"""Every model of the catalogue keeps every promise, with no exceptions listed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import triptych
from tiny import TINY
from triptych import chance, recipe, schema
from triptych.cli import main
from triptych.core import Batch, Encodes, Model, Scores
from triptych.devices import autocast
from triptych.errors import UsageError
from triptych.pixels import to_float
from triptych.sampling import generate
from triptych.training.ema import Ema
from triptych.training.loop import train
from triptych.training.state import Cast, State

Make = Callable[..., Any]
NAMES = recipe.names()
SHAPES = [(1, 8, 8), (2, 13, 37), (3, 32, 32), (4, 24, 64), (3, 9, 8), (4, 33, 31)]
LARGE = [(3, 128, 128), (1, 128, 8), (2, 64, 128)]


def built(
    name: str, shape: tuple[int, int, int], classes: int = 0, changes: tuple[str, ...] = ()
) -> tuple[Cast, list[Any], dict[str, Any]]:
    """A shrunken model of the catalogue with all that trains it."""
    tree = schema.complete(recipe.read(name, "x", None, [*TINY[name], *changes]))
    facts = {"image_shape": shape, "classes": classes}
    chance.reseed(0, "model")
    model = schema.build("model", tree["model"], facts)
    objective = schema.build("objective", tree["objective"], {**facts, "classes": model.classes})
    turns = list(objective.turns(model))
    optimisers = {t.name: schema.build("optimiser", tree["optimisers"][t.name], facts)(t.moves) for t in turns}
    return Cast(model, objective, optimisers, Ema(model, 100, 0.05)), turns, tree


class Same:
    """A stream of one batch."""

    def __init__(self, images: torch.Tensor, **given: torch.Tensor) -> None:
        self.one = Batch(to_float(images), given)

    def batch(self, seen: int) -> Batch:
        return self.one


def play(cast: Cast, turns: list[Any], stream: Any, steps: int) -> list[dict[str, float]]:
    noted: list[dict[str, float]] = []
    note = lambda name, stats: noted.append({f"{name}/{k}": float(v) for k, v in stats.items()})  # noqa: E731
    train(
        cast, turns, stream, State(seed=0), lambda s: s.steps >= steps, [], note, lambda: autocast(torch.device("cpu"))
    )
    return noted


@pytest.mark.parametrize("shape", [*SHAPES, *LARGE], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_any_size_and_channels_train_and_sample(name: str, shape: tuple[int, int, int]) -> None:
    cast, turns, _ = built(name, shape)
    images = torch.randint(0, 256, (4, *shape), dtype=torch.uint8)
    before = {key: t.clone() for key, t in cast.model.state_dict().items()}
    noted = play(cast, turns, Same(images), 2)
    assert all(np.isfinite(list(stats.values())).all() for stats in noted)
    assert any(not torch.equal(t, before[key]) for key, t in cast.model.state_dict().items())
    assert isinstance(cast.model, Model)
    (batch,) = generate(cast.shown, [3, 4])
    assert batch.images.shape == (2, *shape)
    assert batch.images.dtype == torch.uint8


@pytest.mark.parametrize("name", NAMES)
def test_an_image_follows_its_seed(name: str) -> None:
    cast, turns, _ = built(name, (3, 16, 16))
    play(cast, turns, Same(torch.randint(0, 256, (8, 3, 16, 16), dtype=torch.uint8)), 3)
    together = torch.cat([b.images for b in generate(cast.shown, range(7), batch=7)]).int()
    apart = torch.cat([b.images for b in generate(cast.shown, range(7), batch=2)]).int()
    alone = next(generate(cast.shown, [5])).images[0].int()
    assert (together - apart).abs().max() <= 1
    assert (together[5] - alone).abs().max() <= 1
    assert not torch.equal(together[0], together[1])
    assert torch.equal(together, torch.cat([b.images for b in generate(cast.shown, range(7), batch=7)]).int())


@pytest.mark.parametrize("name", NAMES)
def test_save_and_load_change_no_bit(name: str, train_tiny: Make) -> None:
    run = train_tiny(name, 5)
    model, again = triptych.load(run.run), triptych.load(run.checkpoint)
    one = torch.cat([b.images for b in triptych.generate(model, seeds=range(9))])
    two = torch.cat([b.images for b in triptych.generate(again, seeds=range(9))])
    assert torch.equal(one, two)
    assert run.parameters == sum(p.numel() for p in model.parameters())
    assert run.peak_memory > 10_000_000


@pytest.mark.parametrize("name", NAMES)
def test_the_commands_work_for_it(name: str, train_tiny: Make, tmp_path: Path) -> None:
    run = train_tiny(name, 3)
    assert main(["sample", run.run, "-n", "5", "--seed", "7", "-o", str(tmp_path / "g.png"), "--quiet"]) == 0
    assert main(["sample", run.run, "-n", "5", "--seed", "7", "-o", str(tmp_path / "folder"), "--quiet"]) == 0
    assert main(["sample", run.run, "-n", "5", "--seed", "7", "-o", str(tmp_path / "a.npz"), "--quiet"]) == 0
    with np.load(tmp_path / "a.npz") as arrays:
        images = arrays["images"]
        assert ("labels" in arrays) == ("conditional" in recipe.about(name).can and triptych.load(run.run).classes > 0)
    assert images.shape == (5, 8, 8, 1)
    assert images.dtype == np.uint8
    files = sorted((tmp_path / "folder").iterdir())
    assert [f.name for f in files] == [f"seed-{seed:08d}.png" for seed in range(7, 12)]
    for file, image in zip(files, images, strict=True):
        with Image.open(file) as picture:
            assert np.array_equal(np.asarray(picture), image[:, :, 0])
    with Image.open(tmp_path / "g.png") as picture:
        assert picture.mode == "L"
    with Image.open(run.grid) as picture:
        assert picture.width > 64


@pytest.mark.parametrize("name", NAMES)
def test_it_encodes_and_scores_as_the_catalogue_says(name: str, train_tiny: Make, tmp_path: Path) -> None:
    run = train_tiny(name, 3)
    model, can = triptych.load(run.run), recipe.about(name).can
    if "encode" not in can:
        with pytest.raises(UsageError, match="does not encode"):
            triptych.encode(model, "digits")
    else:
        assert isinstance(model, Encodes)
        x = torch.randint(0, 256, (6, 1, 8, 8), dtype=torch.uint8)
        once, twice = triptych.encode(model, x), triptych.encode(run.run, x, batch=4)
        assert once.features.shape == (6, int(np.prod(model.latent_shape)))
        np.testing.assert_allclose(once.features, twice.features, atol=1e-4)
    if "score" in can:
        assert isinstance(model, Scores)
        x = to_float(torch.randint(0, 256, (6, 1, 8, 8), dtype=torch.uint8))
        with torch.no_grad():
            likelihood = model.log_likelihood(x, chance.Draw(range(6)))
        assert likelihood.nats.shape == (6,)
        assert (likelihood.nats < 0).all()


@pytest.mark.parametrize("name", [name for name in NAMES if "conditional" in recipe.about(name).can])
def test_labels_are_heard_and_checked(name: str, train_tiny: Make, tmp_path: Path) -> None:
    run = train_tiny(name, 30, changes=("model.conditional=true",))
    model = triptych.load(run.run)
    assert model.classes == 10
    first, second = (next(triptych.generate(model, [0], {"labels": torch.tensor([k])})).images for k in (1, 2))
    assert not torch.equal(first, second)
    out = str(tmp_path / "x.npz")
    assert main(["sample", run.run, "-n", "3", "--labels", "4,7", "-o", out, "--quiet"]) == 0
    with np.load(out) as arrays:
        assert arrays["labels"].tolist() == [4, 7, 4]
    for wrong in ("10", "cat", "-1", "1,,2"):
        assert main(["sample", run.run, "-n", "3", "--labels", wrong, "-o", out, "--quiet"]) == 2


def test_words_that_a_model_does_not_know(train_tiny: Make, tmp_path: Path) -> None:
    run = train_tiny("dcgan", 1)
    for flags in (["--steps", "5"], ["--sampler", "x"], ["--labels", "3"], ["-n", "0"], ["-o", "x.gif"]):
        assert main(["sample", run.run, "-o", str(tmp_path / "x.png"), *flags, "--quiet"]) == 2
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "cat.jpg").write_bytes(b"precious")
    assert main(["sample", run.run, "-o", str(tmp_path / "mine"), "--quiet"]) == 2
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["cat.jpg"]


def test_every_model_of_the_catalogue_has_a_tiny_form() -> None:
    assert set(TINY) == set(NAMES)
