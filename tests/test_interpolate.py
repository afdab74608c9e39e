"""Walks between images: arcs and lines in closed form, frames that are the seeds' own, films that open."""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import triptych
from triptych import film
from triptych.cli import main
from triptych.errors import ResourceError, UsageError
from triptych.gan.model import Generator
from triptych.quantities import decimal, whole_numbers
from triptych.sampling import generate
from triptych.walking import Walk, lerp, slerp

Make = Callable[..., Any]
SHAPE = (3, 8, 12)
HERE = torch.tensor([0.0, 0.25, 0.5, 1.0], dtype=torch.float64)
needs_av = pytest.mark.skipif(importlib.util.find_spec("av") is None, reason="pip install 'triptych[video]'")


def painter(classes: int = 0, latent: int = 6, shape: tuple[int, int, int] = SHAPE) -> Generator:
    """A generator of one linear layer."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(latent + classes, math.prod(shape)), nn.Tanh(), nn.Unflatten(1, shape))
    return Generator(net, shape, latent, classes)


def test_the_arc_between_right_angles_is_a_circle() -> None:
    a, b = (torch.eye(3, dtype=torch.float64)[i].expand(4, 3) for i in (0, 1))
    turned = HERE * math.pi / 2
    wanted = torch.stack([turned.cos(), turned.sin(), torch.zeros(4)], 1)
    torch.testing.assert_close(slerp(2 * a, 2 * b, HERE), 2 * wanted, atol=1e-12, rtol=0)


def test_the_angle_grows_evenly_and_the_ends_are_exact() -> None:
    torch.manual_seed(1)
    a, b = (torch.nn.functional.normalize(torch.randn(1, 2, 5, dtype=torch.float64).flatten(1)) for _ in range(2))
    on_the_way = slerp(a.expand(4, -1), b.expand(4, -1), HERE)
    whole = (a * b).sum().acos()
    torch.testing.assert_close((on_the_way * a).sum(1).clamp(-1, 1).acos(), HERE * whole, atol=1e-7, rtol=0)
    assert torch.equal(on_the_way[0], a[0])
    assert torch.equal(on_the_way[-1], b[0])
    torch.testing.assert_close(on_the_way.norm(dim=1), torch.ones(4, dtype=torch.float64), atol=1e-12, rtol=0)


@pytest.mark.parametrize("factor", [1.0, 3.0, -1.0])
def test_where_there_is_no_one_arc_the_line_is_taken(factor: float) -> None:
    a = torch.randn(4, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    found = slerp(a, factor * a, HERE)
    torch.testing.assert_close(found, lerp(a, factor * a, HERE), atol=1e-12, rtol=0)
    assert found.isfinite().all()


def test_an_arc_keeps_the_length_of_normal_latents() -> None:
    a, b = torch.randn(2, 64, 400, generator=torch.Generator().manual_seed(3))
    halves = torch.full((64,), 0.5)
    assert abs(slerp(a, b, halves).square().mean() - 1) < 0.02
    assert abs(lerp(a, b, halves).square().mean() - 0.5) < 0.02


@pytest.mark.parametrize("space", ["style", "latent"])
@pytest.mark.parametrize("truncation", [1.0, 0.5])
def test_the_keys_are_the_images_of_the_seeds(space: str, truncation: float) -> None:
    model = painter(classes=3)
    given = {"labels": torch.tensor([2, 0, 1])}
    walk = Walk(model, [5, 9, 7], given, space, truncation)
    frames = torch.cat(list(walk.frames(4, batch=3)))
    (own,) = generate(model, [5, 9, 7], given, truncation=truncation)
    assert frames.shape == (9, *SHAPE)
    assert (frames[::4].int() - own.images.int()).abs().max() <= 1
    assert torch.equal(frames, torch.cat(list(walk.frames(4))))
    looped = torch.cat(list(walk.frames(4, loop=True)))
    assert torch.equal(looped[:9], frames)
    assert len(looped) == 12
    rows = torch.cat(list(walk.rows(4)))
    assert torch.equal(rows, torch.cat([frames[:5], frames[4:]]))
    assert model.training


def test_style_space_is_a_straight_line() -> None:
    net = nn.Sequential(nn.Linear(4, 192), nn.Unflatten(1, (3, 8, 8)))
    model = Generator(net, (3, 8, 8), 4)
    nn.init.normal_(net[0].weight, std=0.1)
    frames = torch.cat(list(Walk(model, [0, 1]).frames(2))).double()
    assert (frames[1] - (frames[0] + frames[2]) / 2).abs().max() <= 1  # the painter is linear


@pytest.mark.parametrize("name", ["vae", "ddpm", "dcgan"])
def test_the_first_frame_is_the_sample_of_its_seed(name: str, train_tiny: Make, tmp_path: Path) -> None:
    run = train_tiny(name, 2).run
    out = tmp_path / "walk.png"
    done = triptych.interpolate(run, seeds="1,4,2", frames=2, out=str(out))
    how = {"sampler": "ddim"} if name == "ddpm" else {}  # a walk adds no noise on the way, and takes finer steps
    (own,) = triptych.generate(triptych.load(run), [1, 4, 2], **how)
    with Image.open(out) as picture:
        pixels = np.asarray(picture)
    scale = 6  # 8 px in tiles of 48
    tiles = [[pixels[2 + 50 * r :, 2 + 50 * c :][:48:scale, :48:scale] for c in range(3)] for r in range(2)]
    for tile, image in ((tiles[0][0], 0), (tiles[0][2], 1), (tiles[1][0], 1), (tiles[1][2], 2)):
        apart = np.abs(tile.astype(int) - own.images[image, 0].numpy())
        assert (apart.mean() if how else apart.max()) <= 1
    assert done.images == 6
    assert done.space == ("style" if name == "dcgan" else "latent")


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("ending", ["gif", "webp"])
def test_films_open(ending: str, channels: int, tmp_path: Path) -> None:
    images = torch.randint(0, 256, (5, channels, 9, 13), dtype=torch.uint8)
    if channels in (2, 4):
        images[:, -1] = torch.tensor([0, 255]).repeat(7)[:13]
    path = tmp_path / f"new/film.{ending}"
    assert film.write(images, path, fps=10) == 5
    with Image.open(path) as picture:
        assert picture.n_frames == 5
        assert picture.size == (13 * 20, 9 * 20)
        assert picture.info["loop"] == 0
        picture.seek(4)
        seen = np.asarray(picture.convert("RGBA"))[::20, ::20]
        assert picture.info["duration"] == 100
    last = film.as_picture(images[4]).convert("RGBA")
    shown = np.asarray(last)[..., 3] > 0
    assert ((seen[..., 3] > 0) == shown).all()
    if ending == "webp":
        assert np.array_equal(seen[shown], np.asarray(last)[shown])
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@needs_av
@pytest.mark.parametrize("channels", [1, 4])
def test_an_mp4_opens(channels: int, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    images = torch.linspace(30, 220, 6).to(torch.uint8).view(6, 1, 1, 1).expand(6, channels, 9, 13).clone()
    if channels == 4:
        images[:, 3] = 0
    path = tmp_path / "film.mp4"
    assert film.write(images, path, fps=12.5) == 6
    with av.open(str(path)) as opened:
        assert float(opened.streams.video[0].average_rate) == 12.5
        frames = [frame.to_ndarray(format="rgb24") for frame in opened.decode(video=0)]
    assert len(frames) == 6
    assert frames[0].shape[0] % 2 == frames[0].shape[1] % 2 == 0
    wanted = images[:, 0].double().mean((1, 2)) if channels == 1 else torch.full((6,), 255.0).double()
    assert np.abs(np.stack(frames).mean((1, 2, 3)) - wanted.numpy()).max() < 4


def test_an_mp4_without_its_package_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(ResourceError, match=r"needs the package av.*triptych\[video\]"):
        film.check(tmp_path / "x.mp4")


def test_the_command_writes_films(train_tiny: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, out = train_tiny("dcgan", 60).run, tmp_path / "w.webp"  # long enough for frames to differ
    words = ["interpolate", run, "--seeds", "0-2", "--seconds", "1s", "--fps", "6", "--loop", "-o", str(out)]
    assert main([*words, "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 6
    with Image.open(out) as picture:
        assert picture.n_frames == 6


def test_wrong_wishes_are_sentences(train_tiny: Make, tmp_path: Path) -> None:
    run, out = train_tiny("vae", 1).run, str(tmp_path / "x.gif")
    for wrong in (
        ["--seeds", "1"],
        ["--seeds", "3-1"],
        ["--seeds", "a,b"],
        ["--space", "style"],
        ["--space", "nowhere"],
        ["--truncation", "0.5"],
        ["--truncation", "2"],
        ["--labels", "1"],
        ["--frames", "2", "--seconds", "2s"],
        ["-o", str(tmp_path / "x.avi")],
        ["-o", str(tmp_path / "x.png"), "--loop"],
    ):
        assert main(["interpolate", run, "-o", out, *wrong, "--quiet"]) == 2
    assert main(["sample", run, "--truncation", "0.5", "-o", str(tmp_path / "g.png"), "--quiet"]) == 2
    assert not [path for path in tmp_path.iterdir() if path.suffix in (".gif", ".png", ".avi")]


def test_sampling_can_be_truncated(train_tiny: Make, tmp_path: Path) -> None:
    run, out = train_tiny("dcgan", 2).run, tmp_path / "x.npz"
    assert main(["sample", run, "-n", "3", "--truncation", "0", "-o", str(out), "--quiet"]) == 0
    with np.load(out) as arrays:
        assert (arrays["images"] == arrays["images"][:1]).all()


def test_lists_of_numbers() -> None:
    assert whole_numbers("1, 2,5-7", "--seeds") == [1, 2, 5, 6, 7]
    assert whole_numbers(4, "--seeds") == [4]
    assert whole_numbers(range(2), "--seeds") == [0, 1]
    for wrong in ("", "1,,2", "-1", "7-5", "1.5", "0-10000", "x", [], [-1]):
        with pytest.raises(UsageError, match="--seeds is"):
            whole_numbers(wrong, "--seeds")
    assert decimal("0.7", "--truncation", 0, 1) == 0.7
    for wrong_number in ("x", "nan", 1.1, True, ""):
        with pytest.raises(UsageError, match="--truncation is"):
            decimal(wrong_number, "--truncation", 0, 1)
