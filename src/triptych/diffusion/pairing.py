"""Which noise meets which image of a batch: as it comes, or that which is near.

Noise that is near an image leads to straighter paths, which need fewer steps and are learnt sooner. All are
still standard normal over a batch. Notation: B batch; x images, n noise, both (B, C, H, W).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from triptych import chance, ranks
from triptych.errors import UsageError

Pairing = Callable[[Tensor], Tensor]  # x -> n


def independent(x: Tensor) -> Tensor:
    """Noise that knows nothing of the image."""
    return chance.noise(x)


def transport(x: Tensor) -> Tensor:
    """The batch's noises so dealt out that the squares of all distances add up to the least.

    Optimal transport within a batch (Pooladian et al. 2023, arXiv:2304.14772, section 3; Tong et al. 2023,
    arXiv:2302.00482, section 4.2), which is also immiscible diffusion (Li et al. 2024, arXiv:2406.12303, section 3).
    The assignment is found on the CPU and costs B^3.
    """
    x = ranks.whole(x)
    noise = torch.randn_like(x)
    apart = torch.cdist(x.flatten(1).float(), noise.flatten(1).float()).square()
    _, dealt = linear_sum_assignment(apart.cpu().numpy())
    return ranks.own(noise[torch.as_tensor(dealt, device=x.device)])


def nearest(draws: int = 4) -> Pairing:
    """Of so many noises for each image the nearest one; costs little on any device.

    (Li et al. 2025, arXiv:2505.18521, section 3.2.) Not quite standard normal: the more draws, the less.
    """
    if draws < 1:
        raise UsageError(f"pairing.draws is {draws}: give 1 or more.")

    def pair(x: Tensor) -> Tensor:
        noise = ranks.draw(
            lambda n: torch.randn(draws, n, *x.shape[1:], device=x.device, dtype=x.dtype).movedim(1, 0), len(x)
        ).movedim(0, 1)
        apart = (noise - x).square().flatten(2).sum(2)  # (draws, B)
        return noise[apart.argmin(0), torch.arange(len(x), device=x.device)]

    return pair
