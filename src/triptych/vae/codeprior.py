"""The prior over a grid of codes: a transformer that goes code by code, or fills in masked codes in parallel.

A sampler turns noise and what a network says into codes. A code is drawn by adding Gumbel noise to its logits and
taking the largest, so that an image's codes follow from its own noise, and temperature 0 needs no case of its own.

Notation: B batch, h w grid sides, T = h w places in raster order, K codes; noise (B, T, K + 1), the last
column of which perturbs the order in which places are filled.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from triptych import chance
from triptych.chance import Draw
from triptych.core import NOTHING, Given
from triptych.errors import UsageError, nearest
from triptych.nets.transformer import Transformer

Predict = Callable[[Tensor], Tensor]  # codes (B, T), K where unknown -> logits (B, T, K)
Surety = Callable[[Tensor, Tensor, float], Tensor]  # log p of drawn codes, noise (B, T), share of steps left -> (B, T)

SAMPLERS = ("raster", "confident")
STEPS = 12  # of `confident` where none are asked for (Chang et al. 2022, section 4.2: 8 to 12)
WANDER = 4.5  # how much chance there is at first in the order of `confident`


class CodePrior(nn.Module):
    """p(codes), each image's grid of `sides` a sequence in raster order; a causal net or one that is shown masks."""

    def __init__(self, net: Transformer, sides: tuple[int, int]) -> None:
        super().__init__()
        self.net, self.sides = net, sides
        self.places, self.kinds = sides[0] * sides[1], net.mask

    def loss(self, codes: Tensor, given: Given = NOTHING) -> Tensor:
        """The cross-entropy of codes (B, h, w) in nats for each code, (B,).

        Without a causal order a share cos(u pi / 2) of the places, u uniform, is masked, and these count
        (Chang et al. 2022, arXiv:2202.04200, section 3.1).
        """
        tokens = codes.flatten(1)
        if self.net.causal:
            return -self._log_prob(self.net(tokens, given), tokens).mean(1)
        order = chance.uniform(tokens, *tokens.shape[1:]).argsort(1).argsort(1)  # a random rank of each place
        masked = (chance.uniform(tokens, 1) * math.pi / 2).cos() * self.places  # (B, 1)
        hidden = order < masked.ceil().clamp(min=1)  # (B, T)
        nats = -self._log_prob(self.net(tokens.masked_fill(hidden, self.kinds), given), tokens)
        return (nats * hidden).sum(1) / hidden.sum(1)

    def log_prob(self, codes: Tensor, given: Given = NOTHING) -> Tensor:
        """log p(codes) in raster order for codes (B, h, w), (B,) in nats; T calls of a net that is not causal."""
        tokens = codes.flatten(1)
        if self.net.causal:
            return self._log_prob(self.net(tokens, given), tokens).sum(1)
        places = torch.arange(self.places, device=tokens.device)
        nats = [
            self._log_prob(self.net(tokens.masked_fill(places >= i, self.kinds), given), tokens)[:, i] for i in places
        ]
        return torch.stack(nats).sum(0)

    def sample(
        self,
        draw: Draw,
        given: Given = NOTHING,
        temperature: float = 1.0,
        sampler: str | None = None,
        steps: int | None = None,
    ) -> Tensor:
        """Codes (B, h, w), one grid for each generator of `draw`; raises a `UsageError` for wishes it cannot grant."""
        if not 0 <= temperature < math.inf:
            raise UsageError(f"The temperature is {temperature}: give 1 for the prior's own, 0 for the likeliest.")
        chosen = self._known(sampler or ("raster" if self.net.causal else "confident"))
        noise = temperature * gumbel(draw.uniform(self.places, self.kinds + 1))
        if self.net.causal:
            self._steps(steps, self.places, self.places)
            return self._grid(one_by_one(self.net, noise, given))
        sequential = chosen == "raster"
        number = self._steps(steps, self.places if sequential else 1, STEPS)
        surety = in_raster_order if sequential else by_confidence
        return self._grid(unmask(lambda codes: self.net(codes, given), noise, number, surety))

    def _grid(self, codes: Tensor) -> Tensor:
        return codes.view(-1, *self.sides)

    def _known(self, sampler: str) -> str:
        if sampler not in SAMPLERS:
            raise UsageError(f"There is no sampler {sampler!r} of codes; {nearest(sampler, SAMPLERS)}")
        if self.net.causal and sampler != "raster":
            raise UsageError("This model's prior goes code by code: take the sampler raster, or train a masked prior.")
        return sampler

    def _steps(self, steps: int | None, fewest: int, default: int) -> int:
        """The steps to take, default for None."""
        steps = min(max(default, fewest), self.places) if steps is None else steps
        if not fewest <= steps <= self.places:
            raise UsageError(f"These codes take {fewest} to {self.places} steps, not {steps}; give one of these.")
        return steps

    @staticmethod
    def _log_prob(logits: Tensor, tokens: Tensor) -> Tensor:
        """log p of tokens (B, T) under logits (B, T, K), (B, T) in nats."""
        return -cross_entropy(
            logits.movedim(-1, 1).to(torch.promote_types(logits.dtype, torch.float32)), tokens, reduction="none"
        )


def gumbel(uniform: Tensor) -> Tensor:
    """Standard Gumbel noise of uniform numbers in [0, 1)."""
    return -(-uniform.clamp(min=torch.finfo(uniform.dtype).tiny).log()).log()


def one_by_one(net: Transformer, noise: Tensor, given: Given = NOTHING) -> Tensor:
    """Codes (B, T) of a causal net, each drawn from all before it, by a cache of keys and values."""
    logits, cache = net.begin(len(noise), given)
    codes = [(logits + noise[:, 0, :-1]).argmax(1)]
    for place in range(1, noise.shape[1]):
        logits, cache = net.follow(codes[-1], cache)
        codes.append((logits + noise[:, place, :-1]).argmax(1))
    return torch.stack(codes, 1)


def unmask(predict: Predict, noise: Tensor, steps: int, surety: Surety) -> Tensor:
    """Codes (B, T) from masks alone (Chang et al. 2022, section 3.2): each step draws all, and keeps the surest."""
    kinds = noise.shape[2] - 1
    codes = torch.full(noise.shape[:2], kinds, device=noise.device)
    for step, known in enumerate(schedule(noise.shape[1], steps)):
        logits = predict(codes).float()
        drawn = (logits + noise[..., :-1]).argmax(2)  # (B, T)
        log_prob = logits.log_softmax(2).gather(2, drawn[..., None])[..., 0]
        sure = surety(log_prob, noise[..., -1], 1 - (step + 1) / steps)
        sure = sure.masked_fill(codes != kinds, math.inf)  # what is known stays
        kept = sure.topk(known, 1).indices
        codes = codes.scatter(1, kept, torch.where(codes == kinds, drawn, codes).gather(1, kept))
    return codes


def schedule(places: int, steps: int) -> list[int]:
    """How many codes are known after each step: places (1 - cos(pi t / 2)), and at least one more each time."""
    known = [0]
    for step in range(1, steps + 1):
        wanted = places - math.floor(places * math.cos(math.pi / 2 * step / steps))
        known.append(min(max(wanted, known[-1] + 1), places - steps + step))
    return known[1:]


def by_confidence(log_prob: Tensor, noise: Tensor, left: float) -> Tensor:
    """How likely the drawn codes are, with chance in it that fades."""
    return log_prob + WANDER * left * noise


def in_raster_order(log_prob: Tensor, noise: Tensor, left: float) -> Tensor:
    """The first places are the surest."""
    return -torch.arange(log_prob.shape[1], device=log_prob.device, dtype=log_prob.dtype).expand_as(log_prob)
