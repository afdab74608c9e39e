"""Attribute vectors: what sets the latents of one class apart, added to other images.

The mean latent of images with an attribute minus that of images without it (Larsen et al. 2016,
arXiv:1512.09300, section 3.2; White 2016, arXiv:1609.04468).

Notation: N images, D latents, S strengths; z latent, v attribute vector.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from triptych.core import Model
from triptych.pixels import to_uint8
from triptych.sampling import at_rest


def attribute(z: Tensor, has: Tensor, lacks: Tensor) -> Tensor:
    """v (D,): the mean of latents (N, D) where `has` (N,) is true minus the mean where `lacks` (N,) is."""
    wide = z.double()
    return (wide[has].mean(0) - wide[lacks].mean(0)).to(z)


def separation(z: Tensor, v: Tensor, has: Tensor, lacks: Tensor) -> float | None:
    """How often an image that has the attribute lies further along v than one that lacks it, in [0, 1].

    The area under the ROC curve of the dot product with v, by which White (2016) classifies: 0.5 says that
    v means nothing. None where no image has it, or none lacks it.
    """
    from sklearn.metrics import roc_auc_score

    if not has.any() or not lacks.any():
        return None
    judged = has | lacks
    return float(roc_auc_score(has[judged].numpy(), (z.double() @ v.double())[judged].numpy()))


def applied(model: Model, z: Tensor, v: Tensor, strengths: Sequence[float]) -> Tensor:
    """uint8 images (S, C, H, W) of one latent z (D,) with each strength times v added; at 0 its reconstruction."""
    with at_rest(model) as device, torch.no_grad():
        moved = z + torch.tensor(strengths)[:, None] * v  # (S, D)
        return to_uint8(model.decode(moved.view(-1, *model.latent_shape).to(device))).cpu()
