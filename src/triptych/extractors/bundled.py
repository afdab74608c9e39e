"""The extractor that comes with the package: small, offline, for images of any size and 1 to 4 channels.

Trained from scratch on CIFAR-10 by `tools/train_bundled.py`. Its distances compare models with each
other on one data set; they are not the numbers of papers.

Notation: B batch, C channels, H height, W width, D features.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load
from torch import Tensor, nn

from triptych.errors import ResourceError
from triptych.extractors import Extractor, Seen
from triptych.extractors.seeing import BLACK, WHITE, looking, over, resized
from triptych.pixels import has_alpha

CLASSES = 10  # of CIFAR-10
FEATURES = 256
WHITENED = 24  # twice the 12 values of a 2x2 patch: each direction and its opposite
SMALLEST, LARGEST = 32, 64  # px, the sides that the network sees
WEIGHTS = Path(__file__).with_name("bundled.safetensors")


def _step(inside: int, outside: int) -> nn.Sequential:
    """Convolve, halve, convolve."""
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, padding=1, bias=False),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(outside),
        nn.GELU(),
        nn.Conv2d(outside, outside, 3, padding=1, bias=False),
        nn.BatchNorm2d(outside),
        nn.GELU(),
    )


class Net(nn.Module):
    """Colour images (B, 3, H, W) in [-1, 1] with sides of at least 16 px to features (B, 256), and to logits.

    The shape and much of the training are those of Jordan 2024 (arXiv:2404.00498), narrower: the first
    layer whitens patches of 2x2 px, and each of three steps halves the sides.
    """

    def __init__(self) -> None:
        super().__init__()
        self.whiten = nn.Conv2d(3, WHITENED, 2)
        self.trunk = nn.Sequential(nn.GELU(), _step(WHITENED, 64), _step(64, 192), _step(192, FEATURES))
        self.head = nn.Linear(FEATURES, CLASSES, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.places(x).mean((2, 3))  # (B, 256)

    def places(self, x: Tensor) -> Tensor:
        """The features of each place, (B, 256, H/8, W/8), before their mean."""
        y: Tensor = self.trunk(self.whiten(x))
        return y

    def both_ways(self, x: Tensor) -> Tensor:
        """The mean features of images and of their mirror images, (B, 256): neither left nor right is told."""
        y: Tensor = (self(x) + self(x.flip(3))) / 2
        return y

    def logits(self, features: Tensor) -> Tensor:
        """Features (B, 256) to the logits (B, 10) of CIFAR-10's classes."""
        y: Tensor = self.head(features) / 9  # so that one learning rate suits all layers
        return y


def sides(height: int, width: int) -> tuple[int, int]:
    """The sides in px that the network sees: within 32 to 64, of the image's own aspect as far as that allows.

    >>> sides(32, 48), sides(8, 8), sides(128, 256), sides(20, 400)
    ((32, 48), (32, 32), (32, 64), (32, 64))
    """
    short, long = min(height, width), max(height, width)
    scale = SMALLEST / short if short < SMALLEST else min(1.0, LARGEST / long)
    fitted = [min(max(round(side * scale), SMALLEST), LARGEST) for side in (height, width)]
    return fitted[0], fitted[1]


def build(device: torch.device, weights: Path = WEIGHTS) -> Extractor:
    """The extractor with the package's weights, or with those of another file of `tools/train_bundled.py`.

    Features (B, 256) are the mean of the image's and its mirror image's, and over black and over white
    where there is alpha; logits (B, 10) are of CIFAR-10's classes. Raises a `ResourceError` where the file
    is missing or damaged.
    """
    net, digest = _load(weights)
    net = net.to(device)

    def see(images: Tensor) -> Seen:
        size = sides(images.shape[2], images.shape[3])
        grounds = (BLACK, WHITE) if has_alpha(images.shape[1]) else (BLACK,)
        scaled = [resized(over(images, level), size, "bilinear") * 2 - 1 for level in grounds]
        views = [net.both_ways(x.contiguous(memory_format=torch.channels_last)) for x in scaled]  # faster on a CPU
        features = torch.stack(views).mean(0)
        return Seen(features, net.logits(features))

    how = "image and mirror image, sides within 32 to 64 px by antialiased bilinear, alpha over black and white"
    return Extractor("bundled", f"bundled {digest[:8]}, {how}", looking(see, device), symmetric=True)


def watching(device: torch.device, weights: Path = WEIGHTS) -> Callable[[Tensor], Tensor]:
    """What the network sees in float images (B, C, H, W) in [-1, 1], colour times alpha, differentiable in them.

    Features of each place over black, and over white as well where there is alpha, as one row an image:
    for losses between images. Raises as `build` does.
    """
    net = _load(weights)[0].to(device)

    def watch(x: Tensor) -> Tensor:
        grounds: tuple[float | Tensor, ...] = (0.0,)
        if has_alpha(x.shape[1]):
            x, clear = x[:, :-1], 1 - x[:, -1:]  # colour times alpha, twice the transparency
            grounds = (0.0, clear)
        views = [resized((x + ground).expand(-1, 3, -1, -1), sides(*x.shape[2:]), "bilinear") for ground in grounds]
        return torch.cat([net.places(view).flatten(1) for view in views], 1)

    return watch


def _load(path: Path) -> tuple[Net, str]:
    """The network with a file's weights, half precision there and single here, and the file's SHA-256."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ResourceError(
            f"The bundled extractor's weights are missing ({path}): install triptych again, "
            "or train them with tools/train_bundled.py."
        ) from error
    net = Net()
    kept = {name for name, tensor in net.state_dict().items() if tensor.is_floating_point()}
    try:
        found = {name: tensor.float() for name, tensor in load(content).items()}
        if set(found) != kept:
            raise ValueError("other tensors than the network has")
        net.load_state_dict(found, strict=False)  # the batch counters are not kept
    except (safetensors.SafetensorError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ResourceError(f"The weights {path} are damaged ({reason}): install triptych again.") from error
    return net.eval().requires_grad_(False), hashlib.sha256(content).hexdigest()
