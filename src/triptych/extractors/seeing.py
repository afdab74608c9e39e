"""What all extractors do alike: channels, backgrounds, sizes, exact arithmetic, the weights' digest.

Notation: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from triptych.errors import UsageError
from triptych.extractors import TOGETHER, Seen
from triptych.pixels import has_alpha

BLACK, WHITE = 0.0, 1.0
PIXELS = 2**25  # in one pass of large images, to bound the memory


def looking(see: Callable[[Tensor], Seen], device: torch.device) -> Callable[[Tensor], Seen]:
    """`see` for any number of uint8 images (B, C, H, W): in parts on the device, in full precision, without gradients.

    How many images make a part follows from their size alone. Raises a `UsageError` for other tensors.
    """

    def look(images: Tensor) -> Seen:
        if images.dtype != torch.uint8 or images.ndim != 4 or not 1 <= images.shape[1] <= 4:
            what = f"{str(images.dtype).removeprefix('torch.')} of shape {tuple(images.shape)}"
            raise UsageError(f"An extractor takes uint8 images (B, C, H, W) with 1 to 4 channels, not {what}.")
        part = min(TOGETHER, max(1, PIXELS // max(1, images.shape[2] * images.shape[3])))
        with torch.no_grad(), _exactly(device):
            seen = [see(batch.to(device)) for batch in torch.split(images, part)]
        features = torch.cat([one.features.float().cpu() for one in seen])
        logits = [one.logits.float().cpu() for one in seen if one.logits is not None]
        return Seen(features, torch.cat(logits) if logits else None)

    return look


@contextmanager
def _exactly(device: torch.device) -> Iterator[None]:
    """Float32 products in float32, by the same kernels every time, whatever the caller works in."""
    with ExitStack() as stack:
        stack.enter_context(torch.autocast(device.type, enabled=False))
        if device.type == "cuda":
            stack.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
            torch.set_float32_matmul_precision("highest")
            cudnn: Any = torch.backends.cudnn
            stack.enter_context(cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False))
        yield


def over(images: Tensor, level: float) -> Tensor:
    """uint8 (B, C, H, W) to float32 (B, 3, H, W) in [0, 1]: grey as colour, alpha over a background of this level."""
    x = images.to(torch.float32) / 255
    if has_alpha(x.shape[1]):
        colour, alpha = x[:, :-1], x[:, -1:]
        x = colour * alpha + level * (1 - alpha)
    return x.expand(-1, 3, -1, -1)


def resized(x: Tensor, sides: tuple[int, int], kernel: str) -> Tensor:
    """float (B, C, H, W) with these sides, by the antialiased kernel "bilinear" or "bicubic"."""
    if tuple(x.shape[2:]) == sides:
        return x
    return interpolate(x, size=sides, mode=kernel, align_corners=False, antialias=True)


def sha256(paths: Iterable[Path]) -> str:
    """The SHA-256 of these files one after the other, in hexadecimal digits."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
