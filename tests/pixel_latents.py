"""A model whose latents are exact: those pixels of an image that it is told to see."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from triptych.chance import Draw
from triptych.core import NOTHING, Given, Model

SHAPE = (1, 4, 4)


class Linear(Model):
    """z is some of the pixels in [-1, 1], all of them by default; decoding puts them back over mid grey."""

    classes = 0
    image_shape = SHAPE

    def __init__(self, seen: Sequence[int] = range(16)) -> None:
        super().__init__()
        self.seen, self.latent_shape = list(seen), (len(seen),)
        self.unused = nn.Parameter(torch.zeros(()))

    def encode(self, x: Tensor, given: Given = NOTHING, draw: Draw | None = None) -> Tensor:
        assert not given, "features must not know labels"
        z = x.flatten(1)[:, self.seen]
        return z if draw is None else z + draw.normal(*self.latent_shape)

    def decode(self, z: Tensor, given: Given = NOTHING) -> Tensor:
        x = torch.zeros(len(z), 16)
        x[:, self.seen] = z
        return x.view(-1, *SHAPE)

    def sample(self, draw: Draw, given: Given = NOTHING) -> Tensor:
        return self.decode(draw.normal(*self.latent_shape))


def save(path: Path, images: np.ndarray, labels: Sequence[int] | None = None) -> str:
    """uint8 images (N, 4, 4), with or without labels, as an .npz that `open_data` opens."""
    known = {} if labels is None else {"labels": np.asarray(labels)}
    np.savez(path, images=images, **known)
    return str(path)
