"""The extractor of the package: any size, any channels, its own weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import interpolate

from triptych.errors import ResourceError
from triptych.extractors import Extractor, extractor
from triptych.extractors.bundled import FEATURES, WEIGHTS, Net, build, sides

CPU = torch.device("cpu")


def images(count: int, channels: int = 3, height: int = 32, width: int = 32, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, channels, height, width), dtype=torch.uint8, generator=generator)


@pytest.fixture(scope="module")
def net() -> Net:
    torch.manual_seed(0)
    net = Net().eval()
    for module in net.modules():  # statistics that a mistake in their order would show
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    return net.half().float()


@pytest.fixture(scope="module")
def weights(net: Net, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as `tools/train_bundled.py` writes it."""
    path = tmp_path_factory.mktemp("weights") / "bundled.safetensors"
    save_file({k: v.half().contiguous() for k, v in net.state_dict().items() if v.is_floating_point()}, path)
    return path


@pytest.fixture(scope="module")
def made(weights: Path) -> Extractor:
    return build(CPU, weights)


@torch.no_grad()
def test_colour_images_of_32_px_go_straight_into_the_network(made: Extractor, net: Net) -> None:
    batch = images(4)
    x = batch.float() / 127.5 - 1
    seen = made.look(batch)
    both = (net(x) + net(x.flip(3))) / 2
    torch.testing.assert_close(seen.features, both, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(seen.logits, net.head(both) / 9, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_a_mirror_image_looks_the_same(made: Extractor) -> None:
    assert made.symmetric
    batch = images(4, height=24, width=40)
    torch.testing.assert_close(made.look(batch).features, made.look(batch.flip(3)).features, rtol=1e-5, atol=1e-6)
    turned = made.look(batch.flip(2)).features
    assert not torch.allclose(made.look(batch).features, turned, rtol=1e-2)


@torch.no_grad()
def test_other_sizes_are_resized_with_antialiasing(made: Extractor, net: Net) -> None:
    batch = images(2, height=100, width=160)
    x = interpolate(batch.float() / 127.5 - 1, (40, 64), mode="bilinear", antialias=True)
    torch.testing.assert_close(made.look(batch).features, net.both_ways(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(32, 32, (32, 32)), (64, 64, (64, 64)), (40, 50, (40, 50)), (8, 8, (32, 32)), (28, 28, (32, 32)),
     (72, 72, (64, 64)), (128, 256, (32, 64)), (16, 24, (32, 48)), (1, 1, (32, 32)), (20, 400, (32, 64)),
     (400, 100, (64, 32)), (16, 64, (32, 64))],
)  # fmt: skip
def test_sides(height: int, width: int, expected: tuple[int, int]) -> None:
    assert sides(height, width) == expected


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(8, 8), (1, 1), (72, 30)])
def test_any_channels_and_size(made: Extractor, channels: int, size: tuple[int, int]) -> None:
    seen = made.look(images(3, channels, *size))
    assert seen.features.shape == (3, FEATURES)
    assert seen.features.dtype == torch.float32
    assert seen.features.isfinite().all()
    assert seen.logits is not None
    assert seen.logits.shape == (3, 10)


def test_grey_is_colour_of_equal_parts(made: Extractor) -> None:
    grey = images(3, channels=1)
    assert torch.equal(made.look(grey).features, made.look(grey.repeat(1, 3, 1, 1)).features)


def test_alpha_is_the_mean_over_black_and_white(made: Extractor) -> None:
    """With alpha 0 or 255 alone, both composites are images that could be given by themselves."""
    colour = images(3)
    mask = images(3, channels=1, seed=1) > 127
    alpha = mask.to(torch.uint8) * 255
    black, white = (torch.where(mask, colour, torch.full_like(colour, level)) for level in (0, 255))
    expected = (made.look(black).features + made.look(white).features) / 2
    seen = made.look(torch.cat([colour, alpha], dim=1))
    torch.testing.assert_close(seen.features, expected, rtol=1e-5, atol=1e-6)


def test_opaque_images_look_as_without_alpha(made: Extractor) -> None:
    colour = images(3)
    opaque = torch.cat([colour, torch.full((3, 1, 32, 32), 255, dtype=torch.uint8)], dim=1)
    torch.testing.assert_close(made.look(opaque).features, made.look(colour).features, rtol=1e-5, atol=1e-6)


def test_features_do_not_depend_on_the_batch(made: Extractor) -> None:
    batch = images(9, height=24, width=24)
    together = made.look(batch)
    alone = torch.cat([made.look(image[None]).features for image in batch])
    torch.testing.assert_close(together.features, alone, rtol=1e-5, atol=1e-5)
    again = made.look(batch)
    assert torch.equal(together.features, again.features)


def test_about_names_the_weights_and_the_resize(made: Extractor, weights: Path) -> None:
    import hashlib

    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert made.name == "bundled"
    assert made.about == (
        f"bundled {digest[:8]}, image and mirror image, sides within 32 to 64 px by antialiased bilinear, "
        "alpha over black and white"
    )


def test_missing_weights_are_said(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"missing .*install triptych again"):
        build(CPU, tmp_path / "none.safetensors")


@pytest.mark.parametrize("damage", ["cut", "nonsense", "renamed", "reshaped"])
def test_damaged_weights_are_said(weights: Path, net: Net, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "bundled.safetensors"
    kept = {k: v.half().contiguous() for k, v in net.state_dict().items() if v.is_floating_point()}
    if damage == "cut":
        path.write_bytes(weights.read_bytes()[:-10])
    elif damage == "nonsense":
        path.write_bytes(b"nonsense" * 10)
    else:
        head = kept.pop("head.weight")
        save_file(kept | {"head.other" if damage == "renamed" else "head.weight": head[:5].contiguous()}, path)
    with pytest.raises(ResourceError, match=r"damaged .*install triptych again"):
        build(CPU, path)


def test_the_package_holds_the_weights_in_half_precision() -> None:
    assert WEIGHTS.stat().st_size < 4e6
    with safe_open(WEIGHTS, "pt") as file:
        assert "placeholder" not in (file.metadata() or {}), "these weights are random: train them"
        assert all(file.get_slice(name).get_dtype() == "F16" for name in file.keys())  # noqa: SIM118
    seen = extractor("bundled").look(images(16))
    assert seen.features.isfinite().all()
    assert (seen.features.std(0) > 0).sum() > FEATURES // 2
