"""The same features, other people's formulas: torchmetrics and torch-fidelity, where they are installed.

Both see the images through one toy extractor, in float64. torch-fidelity takes the generated images first.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from triptych.metrics.fid import frechet
from triptych.metrics.images import psnr, ssim
from triptych.metrics.inception import inception_score
from triptych.metrics.kernel import kid
from triptych.metrics.moments import Moments
from triptych.metrics.neighbours import prdc

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs

FEATURES, SIDE = 12, 8
CLOSE = 1e-6  # relative


class Toy(nn.Module):
    """A fixed map of uint8 images (B, 3, SIDE, SIDE) to FEATURES numbers in float64."""

    num_features = FEATURES

    def __init__(self) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(5)
        self.weight = nn.Buffer(torch.randn(3 * SIDE**2, FEATURES, generator=draw, dtype=torch.float64))

    def forward(self, images: Tensor) -> Tensor:
        return torch.relu(images.flatten(1).double() / 255 @ self.weight)


def images(n: int, seed: int, most: int = 256) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(most, (n, 3, SIDE, SIDE), generator=draw, dtype=torch.uint8)


REAL, MADE = images(300, 0), images(260, 1, 250)
X, Y = Toy()(REAL), Toy()(MADE)


def witness(name: str) -> ModuleType:
    """The module, or a skip that says why it cannot be had."""
    try:
        return importlib.import_module(name)
    except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision made for another torch
        pytest.skip(f"{name}: {error}")


def test_torchmetrics_frechet() -> None:
    theirs = witness("torchmetrics.image.fid").FrechetInceptionDistance(Toy(), input_img_size=(3, SIDE, SIDE))
    theirs.update(REAL, real=True)
    theirs.update(MADE, real=False)
    assert frechet(Moments.of(X), Moments.of(Y)) == pytest.approx(float(theirs.compute()), rel=CLOSE)


def test_torchmetrics_kernel() -> None:
    """Their subsets are of one size, so both sides have as many rows here."""
    theirs = witness("torchmetrics.image.kid").KernelInceptionDistance(Toy(), subsets=1, subset_size=len(MADE))
    theirs.update(REAL[: len(MADE)], real=True)
    theirs.update(MADE, real=False)
    assert kid(X[: len(MADE)], Y).value == pytest.approx(float(theirs.compute()[0]), rel=CLOSE)


def test_torchmetrics_inception_score() -> None:
    theirs = witness("torchmetrics.image.inception").InceptionScore(Toy(), splits=1)
    theirs.update(MADE)
    assert inception_score(Y).value == pytest.approx(float(theirs.compute()[0]), rel=CLOSE)


@pytest.mark.parametrize("size", [(11, 11), (32, 20), (64, 64)])
def test_torchmetrics_reconstructions(size: tuple[int, int]) -> None:
    theirs = witness("torchmetrics.image")
    draw = torch.Generator().manual_seed(0)
    a = torch.randint(256, (5, 3, *size), generator=draw, dtype=torch.uint8)
    b = (a.float() + 20 * torch.randn(a.shape, generator=draw)).clamp(0, 255).to(torch.uint8)
    alike = theirs.StructuralSimilarityIndexMeasure(data_range=255.0, return_full_image=True)
    _, places = alike(a.double(), b.double())  # they also mirror images outwards; only the inner places are ours
    torch.testing.assert_close(ssim(a, b), places[..., 5:-5, 5:-5].mean((1, 2, 3)), rtol=CLOSE, atol=0)
    near = theirs.PeakSignalNoiseRatio(data_range=255.0, reduction="none", dim=(1, 2, 3))(a.double(), b.double())
    torch.testing.assert_close(psnr(a, b), near.double(), rtol=CLOSE, atol=0)


class Listed(torch.utils.data.Dataset[Tensor]):
    """Images as torch-fidelity takes them."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.images[index]


def fidelity(made: Tensor, real: Tensor) -> dict[str, float]:
    """torch-fidelity's numbers through the toy extractor, three neighbours, no splits or subsets."""
    package = witness("torch_fidelity")
    base = witness("torch_fidelity.feature_extractor_base").FeatureExtractorBase

    class ToyExtractor(base):  # type: ignore[misc, valid-type]
        def __init__(self, name: str, features_list: list[str], **_: Any) -> None:
            super().__init__(name, features_list)
            self.net = Toy()

        def forward(self, batch: Tensor) -> tuple[Tensor, ...]:
            return tuple(self.net(batch) for _ in self.features_list)

        @staticmethod
        def get_provided_features_list() -> tuple[str, ...]:
            return ("toy",)

        @staticmethod
        def get_default_feature_layer_for_metric(metric: str) -> str:
            return "toy"

        @staticmethod
        def can_be_compiled() -> bool:
            return False

        @staticmethod
        def get_dummy_input_for_compile() -> Tensor:
            return images(1, 0)

    package.register_feature_extractor("toy", ToyExtractor)
    values: dict[str, float] = package.calculate_metrics(
        input1=Listed(made), input2=Listed(real), feature_extractor="toy", cuda=False, cache=False, verbose=False,
        fid=True, kid=True, isc=True, prc=True, prc_neighborhood=3, isc_splits=1, kid_subsets=1,
        kid_subset_size=min(len(made), len(real)), save_cpu_ram=True,
    )  # fmt: skip
    return values


def test_torch_fidelity() -> None:
    real, x = REAL[: len(MADE)], X[: len(MADE)]  # its kernel distance takes as many of both
    theirs, near = fidelity(MADE, real), prdc(x, Y, 3)
    assert frechet(Moments.of(x), Moments.of(Y)) == pytest.approx(theirs["frechet_inception_distance"], rel=CLOSE)
    assert kid(x, Y).value == pytest.approx(theirs["kernel_inception_distance_mean"], rel=CLOSE)
    assert inception_score(Y).value == pytest.approx(theirs["inception_score_mean"], rel=CLOSE)
    assert float(near.precision.mean()) == pytest.approx(theirs["precision"], rel=CLOSE)
    assert float(near.recall.mean()) == pytest.approx(theirs["recall"], rel=CLOSE)
    assert abs(theirs["precision"] - theirs["recall"]) > 0.01  # so that a swap would show
