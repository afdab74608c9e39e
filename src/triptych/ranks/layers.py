"""Layers that know of the whole batch: batch norm's statistics on several processes.

Networks are built without a thought of this. `gathered` gives their layers the behaviour; names of weights stay.

Notation: B images of the whole batch, b those of this process, n values of a channel in the whole batch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from triptych.ranks.rows import count, shared, total


class _Normed(nn.modules.batchnorm._BatchNorm):
    """Batch norm by the mean and variance of the whole batch, in float32 at least."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        h = x.to(torch.promote_types(x.dtype, torch.float32))
        axes = [0, *range(2, x.ndim)]
        shape = [1, -1, *[1] * (x.ndim - 2)]
        n = h[0, 0].numel() * count(len(h))
        mean = total(h.sum(axes)) / n  # (C,)
        apart = h - mean.view(shape)
        variance = total(apart.square().sum(axes)) / n
        self._follow(mean.detach(), variance.detach() * n / (n - 1))
        h = apart * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            h = h * self.weight.view(shape) + self.bias.view(shape)
        return h.to(x.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Let the running statistics take these into account."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean.to(self.running_mean), self.momentum or 0.0)
        self.running_var.lerp_(variance.to(self.running_var), self.momentum or 0.0)


class NormOfVectors(_Normed, nn.BatchNorm1d):
    """Batch norm of (b, C) or (b, C, L)."""


class NormOfImages(_Normed, nn.BatchNorm2d):
    """Batch norm of (b, C, H, W)."""


KINDS: dict[type[nn.Module], type[nn.Module]] = {
    nn.BatchNorm1d: NormOfVectors,
    nn.BatchNorm2d: NormOfImages,
}


def gathered(*modules: nn.Module) -> None:
    """On more than one process, let the layers of modules hear of the whole batch from now on."""
    parts = [part for module in modules for part in module.modules() if type(part) in KINDS]
    for part in parts if shared() else ():
        part.__class__ = KINDS[type(part)]
