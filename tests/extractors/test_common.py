"""What all extractors share: names, inputs, rounding, exactness."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from triptych import extractors
from triptych.errors import UsageError
from triptych.extractors import TOGETHER, Seen, extractor
from triptych.extractors.seeing import looking, over, resized

CPU = torch.device("cpu")


def images(count: int, channels: int = 3, height: int = 8, width: int = 8, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, channels, height, width), dtype=torch.uint8, generator=generator)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'inception'"):
        extractor("incepton")


@pytest.mark.parametrize(
    "wrong",
    [images(2).float(), images(2)[0], torch.zeros(2, 5, 8, 8, dtype=torch.uint8)],
    ids=["float", "one image", "five channels"],
)
def test_other_tensors_than_images_are_refused(wrong: Tensor) -> None:
    with pytest.raises(UsageError, match="takes uint8 images"):
        extractor("pixels").look(wrong)


def test_parts_depend_on_the_size_alone() -> None:
    parts: list[int] = []

    def see(batch: Tensor) -> Seen:
        parts.append(len(batch))
        return Seen(batch.flatten(1).float(), batch.flatten(1).float() + 1)

    seen = looking(see, CPU)(images(TOGETHER + 3))
    assert parts == [TOGETHER, 3]
    assert torch.equal(seen.features, images(TOGETHER + 3).flatten(1).float())
    assert seen.logits is not None
    assert torch.equal(seen.logits, seen.features + 1)


def test_large_images_go_in_smaller_parts() -> None:
    parts: list[int] = []

    def see(batch: Tensor) -> Seen:
        parts.append(len(batch))
        return Seen(batch.flatten(1)[:, :2].float())

    looking(see, CPU)(torch.zeros(3, 1, 4096, 4096, dtype=torch.uint8))
    assert parts == [2, 1]  # 2 x 4096 x 4096 = 2^25 pixels


def test_the_work_is_in_full_precision_whatever_the_caller_does() -> None:
    net = nn.Linear(64, 4)
    look = looking(lambda batch: Seen(net(batch.flatten(1).float())), CPU)
    plain = look(images(4, channels=1)).features
    with torch.autocast("cpu", torch.bfloat16):
        hurried = look(images(4, channels=1)).features
    assert torch.equal(plain, hurried)
    assert not hurried.requires_grad


def test_alpha_lies_over_the_background() -> None:
    pixel = torch.tensor([200, 100, 0, 51], dtype=torch.uint8).view(1, 4, 1, 1)  # a fifth opaque
    black, white = over(pixel, 0.0).flatten(), over(pixel, 1.0).flatten()
    colour = torch.tensor([200, 100, 0]) / 255
    torch.testing.assert_close(black, colour / 5)
    torch.testing.assert_close(white, colour / 5 + 0.8)


def test_grey_becomes_colour() -> None:
    grey = images(2, channels=1)
    assert torch.equal(over(grey, 0.0), (grey.float() / 255).repeat(1, 3, 1, 1))


def test_images_of_the_right_size_are_not_touched() -> None:
    x = over(images(2), 0.0)
    assert resized(x, (8, 8), "bilinear") is x


@pytest.mark.parametrize("kernel", ["bilinear", "bicubic"])
def test_resizing_is_that_of_pillow(kernel: str) -> None:
    """Pillow antialiases too, and rounds between its two passes: at most one level of 255 apart, or two."""
    from PIL import Image

    picture = images(1, height=50, width=41)
    method = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[kernel]
    witness = Image.fromarray(picture[0].permute(1, 2, 0).numpy()).resize((20, 24), method)
    import numpy as np

    expected = torch.from_numpy(np.array(witness)).permute(2, 0, 1).float()
    ours = (resized(over(picture, 0.0), (24, 20), kernel).clamp(0, 1) * 255).round()[0]
    assert (ours - expected).abs().max() <= 2


@pytest.mark.parametrize("name", extractors.KNOWN)
def test_every_known_name_is_built_or_says_what_is_missing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the optional packages, names of KNOWN are still known."""
    import sys

    from triptych.errors import ResourceError

    for package in ("torch_fidelity", "transformers"):
        monkeypatch.setitem(sys.modules, package, None)  # importing it raises an ImportError
    if name in ("bundled", "pixels"):
        assert extractor(name).about.startswith(name)
    else:
        with pytest.raises(ResourceError, match=r"pip install 'triptych\["):
            extractor(name)
