"""How good are generated digits? Judged at 8x8 by classifiers and neighbours of the real ones.

    python -m bench.digits RUN_OR_NPZ... [-n 1000] [--seed 0] [--json]

Each argument is a run folder or an .npz of uint8 images (N, H, W, C) under "images"; they are brought
to 8x8 grey by averaging areas. The first row is a control: real digits that no judge was trained on.

legible     share on which two classifiers agree (each right on at least 97% of held-out real digits)
rarest      the smallest class, as a share of all samples, counting only the legible ones
distance    Frechet distance of the Gaussian moments of the 64 pixels, pixels in [0, 1]
precision   share of samples among the real digits, recall the reverse (Kynkaanniemi et al. 2019, k = 5)
coverage    share of real digits with a sample nearby (Naeem et al. 2020, k = 5)
"""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.metrics import pairwise_distances
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

Pixels = NDArray[np.float64]  # (N, 64) in [0, 1]
NEIGHBOURS = 5
ENOUGH = 0.97  # a judge must be right on this share of held-out real digits


class Reals(NamedTuple):
    """The bundled digits, split once: the judges know `known` and are examined on `held`."""

    known: Pixels
    known_labels: NDArray[np.int64]
    held: Pixels
    held_labels: NDArray[np.int64]


@functools.cache
def reals() -> Reals:
    """1,347 digits for the judges and the neighbours, 450 to examine them."""
    digits = load_digits()
    known, held, known_labels, held_labels = train_test_split(
        digits.data / 16.0, digits.target, test_size=450, stratify=digits.target, random_state=0
    )
    return Reals(known, known_labels, held, held_labels)


@functools.cache
def judges() -> tuple[Any, Any]:
    """A support vector machine and a nearest-neighbour vote, both examined before they may judge."""
    real = reals()
    both = SVC(C=10.0, gamma=0.25), KNeighborsClassifier(n_neighbors=3, weights="distance")
    for judge in both:
        right = judge.fit(real.known, real.known_labels).score(real.held, real.held_labels)
        if right < ENOUGH:
            raise RuntimeError(f"{judge} is right on {right:.3f} of the held-out digits, under {ENOUGH}.")
    return both


def to_pixels(images: NDArray[np.uint8]) -> Pixels:
    """uint8 images (N, H, W) or (N, H, W, C) to 8x8 grey, (N, 64) in [0, 1], by averaging areas."""
    grey = images[..., np.newaxis] if images.ndim == 3 else images
    colours = grey.shape[-1] - (grey.shape[-1] in (2, 4))  # the last of 2 or 4 channels is alpha
    grey = grey[..., :colours].mean(axis=-1) / 255.0
    rows, columns = (_areas(n) for n in grey.shape[1:])
    small: Pixels = np.einsum("ih,nhw,jw->nij", rows, grey, columns).reshape(len(grey), 64)
    return small


def _areas(sides: int, small: int = 8) -> Pixels:
    """(small, sides): how much of each old pixel lies in each new one."""
    edges = np.linspace(0, sides, small + 1)
    old = np.arange(sides)
    overlap = np.minimum(edges[1:, None], old + 1) - np.maximum(edges[:-1, None], old)
    weights: Pixels = np.clip(overlap, 0, None) * small / sides
    return weights


def legibility(images: NDArray[np.uint8]) -> dict[str, Any]:
    """The legible share, each class's share and the rarest of uint8 images (N, 8, 8), of any size too."""
    return _legibility(to_pixels(images))


def _legibility(pixels: Pixels) -> dict[str, Any]:
    first, second = (judge.predict(pixels) for judge in judges())
    shares = np.bincount(first[first == second], minlength=10) / len(pixels)
    return {
        "legible": float((first == second).mean()),
        "rarest": float(shares.min()),
        "shares": [round(float(share), 4) for share in shares],
    }


def frechet(a: Pixels, b: Pixels) -> float:
    """|m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2)) (Heusel et al. 2017), by a symmetric root."""
    cov_a, cov_b = np.cov(a.T), np.cov(b.T)
    values, vectors = np.linalg.eigh(cov_a)
    root = vectors * np.sqrt(np.clip(values, 0, None)) @ vectors.T
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root @ cov_b @ root), 0, None)).sum()
    shift = ((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum()
    return float(shift + np.trace(cov_a) + np.trace(cov_b) - 2 * cross)


def neighbours(real: Pixels, fake: Pixels) -> dict[str, float]:
    """Precision, recall and coverage with balls that reach to the k-th neighbour."""
    between = pairwise_distances(real, fake)
    real_reach, fake_reach = (np.sort(pairwise_distances(points), axis=1)[:, NEIGHBOURS] for points in (real, fake))
    return {
        "precision": float((between <= real_reach[:, None]).any(axis=0).mean()),
        "recall": float((between <= fake_reach[None, :]).any(axis=1).mean()),
        "coverage": float((between.min(axis=1) <= real_reach).mean()),
    }


def figures(pixels: Pixels) -> dict[str, Any]:
    """All figures of one set of samples."""
    known = reals().known
    return _legibility(pixels) | {"distance": frechet(known, pixels)} | neighbours(known, pixels)


def read(where: Path, seeds: Iterable[int]) -> NDArray[np.uint8]:
    """Samples (N, H, W, C) out of an .npz, or drawn from the model of a run folder."""
    if where.suffix == ".npz":
        with np.load(where, allow_pickle=False) as archive:
            stored: NDArray[np.uint8] = archive["images"]
        return stored
    import triptych

    batches = triptych.generate(triptych.load(where), seeds)
    return np.concatenate([batch.images.permute(0, 2, 3, 1).numpy() for batch in batches])


def table(rows: Sequence[tuple[str, dict[str, Any]]]) -> str:
    """The figures as aligned text, a row for each set of samples, and its classes in percent."""
    names = ("legible", "rarest", "distance", "precision", "recall", "coverage")
    lines = [" " * 32 + "".join(f"{name:>10}" for name in names) + "   0 to 9, %"]
    for where, row in rows:
        shares = " ".join(f"{100 * share:.0f}" for share in row["shares"])
        lines.append(f"{where[-32:]:32}" + "".join(f"{row[name]:10.3f}" for name in names) + "   " + shares)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.digits", description="Judge generated digits at 8x8.")
    parser.add_argument("where", nargs="+", type=Path, help="a run folder or an .npz of images")
    parser.add_argument("-n", type=int, default=1000, help="samples to judge")
    parser.add_argument("--seed", type=int, default=0, help="the first sample's seed")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args()
    rows = [("real, held out", figures(reals().held))]
    for where in asked.where:
        images = read(where, range(asked.seed, asked.seed + asked.n))
        rows.append((str(where), figures(to_pixels(images[: asked.n]))))
    print(json.dumps(dict(rows)) if asked.json else table(rows))


if __name__ == "__main__":
    main()
