"""What a finite number of steps makes of a Gaussian, sampler by sampler, in plain numbers.

For data N(0, L) a step is linear: y is multiplied, noise is added. Each law gives the variance at the last level from
that at the first, by other formulas than the sampler's own: Ho et al.'s printed ones, products in closed form,
integrals of interpolating polynomials, and scipy's tableau.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from scipy.integrate import RK45

Levels = Sequence[float]
Law = Callable[[Levels, float, float], float]  # levels, L, variance of y at the first -> variance at the last


def gain(variance: float, s: float) -> float:
    """D / y."""
    return variance / (variance + s * s)


def euler(levels: Levels, variance: float, v: float) -> float:
    """The spread is multiplied by (L + s t) / (L + s^2)."""
    return v * math.prod((variance + s * t) / (variance + s * s) for s, t in pairwise(levels)) ** 2


def heun(levels: Levels, variance: float, v: float) -> float:
    """By 1 + h/2 [s / (L + s^2) + t / (L + t^2) (L + s t) / (L + s^2)], h = t - s; to 0 a step of Euler's."""
    return v * math.prod(_heun(s, t, variance) for s, t in pairwise(levels)) ** 2


def _heun(s: float, t: float, variance: float) -> float:
    ahead = (variance + s * t) / (variance + s * s)
    slopes = s / (variance + s * s) + t / (variance + t * t) * ahead
    return 1 + (t - s) / 2 * slopes if t > 0 else ahead


def churned(levels: Levels, variance: float, v: float, churn: float, noise: float, low: float, high: float) -> float:
    """v becomes f^2 (v + (s'^2 - s^2) noise^2), s' the level that is raised (Karras et al. 2022, algorithm 2)."""
    raised = 1 + min(churn / (len(levels) - 1), math.sqrt(2) - 1)
    for s, t in pairwise(levels):
        higher = s * raised if low <= s <= high else s
        v = _heun(higher, t, variance) ** 2 * (v + (higher**2 - s**2) * noise**2)
    return v


def ancestral(levels: Levels, variance: float, v: float, large: bool = False, eta: float = 1.0) -> float:
    """In x = y / sqrt(1 + s^2), by equation 7 of Ho et al. (2020) as it is printed.

    With `eta` the variance is eta^2 as large and the mean keeps the marginal (Song, Meng and Ermon 2021, equation 12).
    """
    v /= 1 + levels[0] ** 2  # of x
    for bar, before in pairwise([1 / (1 + s * s) for s in levels]):
        clean = math.sqrt(bar) * variance / (bar * variance + 1 - bar)  # E[x_0 | x_t] / x_t
        beta = 1 - bar / before
        fresh = eta**2 * (1 - before) / (1 - bar) * beta
        noise = (1 - math.sqrt(bar) * clean) / math.sqrt(1 - bar)  # E[n | x_t] / x_t
        factor = math.sqrt(before) * clean + math.sqrt(1 - before - fresh) * noise
        v = factor**2 * v + (beta if large and before < 1 else fresh)
    return v * (1 + levels[-1] ** 2)


def dpm(levels: Levels, variance: float, v: float, eta: float = 0.0) -> float:
    """DPM-Solver++ (2M): y and the estimate before are a pair, each step a matrix, and their covariance follows."""
    covariance, before = np.diag([v, 0.0]), math.inf
    for s, t in pairwise(levels):
        keep, pull = (t / s) ** (1 + eta), gain(variance, s)
        h = math.log(s / t) if t > 0 else 0.0
        more = h / before / 2
        step = np.array([[keep + (1 - keep) * (1 + more) * pull, -(1 - keep) * more], [pull, 0.0]])
        covariance, before = step @ covariance @ step.T, h
        covariance[0, 0] += t**2 * (1 - (t / s) ** (2 * eta))
    return float(covariance[0, 0])


def integrals(nodes: Sequence[float], start: float, end: float, rate: float = 0.0) -> list[float]:
    """Of exp(rate (l - end)) times each polynomial that is 1 at its node and 0 at the others, from start to end."""
    places, weights = np.polynomial.legendre.leggauss(20)
    at = start + (end - start) * (places + 1) / 2
    scale = np.exp(rate * (at - end)) * weights * (end - start) / 2
    others = [[other for other in nodes if other != node] for node in nodes]
    return [
        float(scale @ math.prod([(at - other) / (node - other) for other in rest], start=np.ones_like(at)))
        for node, rest in zip(nodes, others, strict=True)
    ]


def unipc(levels: Levels, variance: float, v: float, order: int = 3) -> float:
    """y_t = t/s y_s + t int e^l D(l) dl, l = -ln s, with D a polynomial through estimates: before, and corrected after.

    Where it is a line, the paper takes half its rise (Zhao et al. 2023, section 3.1), and no integral.
    """
    places = [-math.log(s) for s in levels if s > 0]
    y, known = 1.0, [gain(variance, levels[0])]
    for step, (s, t) in enumerate(pairwise(levels)):
        left = len(levels) - 1 - step
        if t == 0:
            return v * known[-1] ** 2
        p = min(order, step + 1, left if levels[-1] == 0 else order)
        ahead = _through(y, places[step + 1 - p : step + 1], known[-p:], (s, t))
        if left == 1:
            return v * ahead**2
        met = gain(variance, t) * ahead
        y = _through(y, places[step + 1 - p : step + 2], [*known[-p:], met], (s, t))
        known.append(met)
    raise AssertionError("no steps")


def _through(y: float, places: Sequence[float], estimates: Sequence[float], step: tuple[float, float]) -> float:
    s, t = step
    here, there = -math.log(s), -math.log(t)
    if len(places) == 2:
        now = places.index(here)
        rise = (estimates[1 - now] - estimates[now]) / (places[1 - now] - here) * (there - here)
        return t / s * y + (1 - t / s) * (estimates[now] + rise / 2)
    shares = integrals(places, here, there, rate=1.0)
    return t / s * y + math.fsum(w * d for w, d in zip(shares, estimates, strict=True))


def ipndm(levels: Levels, variance: float, v: float, order: int = 4) -> float:
    """Adams-Bashforth on dy/ds: each slope counts by the integral of its polynomial over the next of even steps."""
    y, slopes = 1.0, list[float]()
    for s, t in pairwise(levels):
        slopes = [*slopes, y * s / (variance + s * s)][-order:]
        shares = integrals([float(k) for k in range(1 - len(slopes), 1)], 0.0, 1.0)
        y += (t - s) * math.fsum(w * slope for w, slope in zip(shares, slopes, strict=True))
    return v * y**2


def runge_kutta(levels: Levels, variance: float, v: float) -> float:
    """Dormand and Prince's pair in u = ln s, as scipy has it, each level a step; to 0 the estimate is taken."""
    y = 1.0
    for s, t in pairwise(levels):
        if t == 0:
            return v * (gain(variance, s) * y) ** 2
        h, slopes = math.log(t / s), list[float]()
        for node, row in zip(RK45.C, RK45.A, strict=True):
            ahead = y + h * math.fsum(a * k for a, k in zip(row, slopes, strict=False))
            slopes.append((1 - gain(variance, s * math.exp(node * h))) * ahead)
        y += h * math.fsum(b * k for b, k in zip(RK45.B, slopes, strict=True))
    return v * y**2


def consistent(levels: Levels, variance: float, v: float) -> float:
    """Each level's estimate has L / (L + s^2) of the variance, and noise brings t^2."""
    for s, t in pairwise(levels):
        v = gain(variance, s) * v + t * t
    return v


def exact(levels: Levels, variance: float, v: float) -> float:
    """The probability flow itself, whatever is between its ends."""
    return v * (variance + levels[-1] ** 2) / (variance + levels[0] ** 2)
