"""Shuffled batches of floats out of a folder of JPEGs, beside torchvision's ImageFolder and Hugging Face datasets.

    python -m bench loading [--side 32] [--batch 64] [--workers 2] [--rounds 5]

The images are crops of two photographs that scikit-learn ships. Ours are read from a pack, which was made once, as the
stream of training does; the others decode in a DataLoader with so many workers. All give float batches in [-1, 1]. At
256 px (`--side 256`) the goal is 3. Processor time does not see workers: with `--clock processor` say `--workers 0`.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from bench.work import Work

GOALS = {"torchvision": 10.0, "datasets": 10.0}
COUNT, LEAST = 2_000, 200  # images at 32 px; fewer where they are larger, down to LEAST
FLOAT = 4  # bytes


def crops(folder: Path, side: int) -> Path:
    """A class folder of JPEGs of `side` px; made unless it is there."""
    home = folder / "photographs"
    if home.exists():
        return home
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_sample_images

    draw, photographs = np.random.default_rng(0), [Image.fromarray(image) for image in load_sample_images().images]
    (home / "class").mkdir(parents=True)
    for number in range(max(LEAST, COUNT * 32 // side)):
        image = photographs[number % len(photographs)]
        edge = int(draw.integers(256, min(image.size) + 1))
        left, top = (int(draw.integers(0, length - edge + 1)) for length in image.size)
        box = (left, top, left + edge, top + edge)
        image.resize((side, side), Image.Resampling.BICUBIC, box).save(home / "class" / f"{number:05d}.jpg", quality=90)
    return home


def moved(batch: int, side: int) -> int:
    """Bytes that must pass through memory at least: a byte of each value is read, a float is written."""
    return batch * 3 * side * side * (1 + FLOAT)


def triptych(batch: int, side: int, workers: int, folder: str) -> Work:
    from triptych.data import Stream, pack
    from triptych.data.packed import open_pack

    packed = Path(folder) / "all.pack"
    pack(crops(Path(folder), side), packed, note=lambda text: None)
    stream, places = Stream(open_pack(packed).source, 0, batch), itertools.count(0, batch)
    return Work(lambda: stream.batch(next(places)), batch, "triptych", moved=moved(batch, side))


def torchvision(batch: int, side: int, workers: int, folder: str) -> Work:
    from torchvision.datasets import ImageFolder

    images = ImageFolder(str(crops(Path(folder), side)), transform=to_floats())
    return Work(through_loader(images, batch, workers), batch, "torchvision", moved=moved(batch, side))


def datasets(batch: int, side: int, workers: int, folder: str) -> Work:
    from datasets import load_dataset

    change = to_floats()
    home, cache = str(crops(Path(folder), side)), str(Path(folder) / "cache")
    images: Any = load_dataset("imagefolder", data_dir=home, cache_dir=cache, split="train")
    images = images.with_transform(lambda rows: {"image": [change(image) for image in rows["image"]]})
    return Work(through_loader(images, batch, workers), batch, "datasets", moved=moved(batch, side))


def to_floats() -> Callable[[Any], torch.Tensor]:
    """What tutorials do to an image: floats in [-1, 1]."""
    from torchvision.transforms import Compose, Normalize, ToTensor

    change: Callable[[Any], torch.Tensor] = Compose([ToTensor(), Normalize((0.5,) * 3, (0.5,) * 3)])
    return change


def through_loader(images: Any, batch: int, workers: int) -> Callable[[], object]:
    """The next shuffled batch of an endless DataLoader."""
    loader = torch.utils.data.DataLoader(
        images, batch, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=workers > 0
    )
    batches = itertools.chain.from_iterable(itertools.repeat(loader))
    return lambda: next(batches)


def main() -> None:
    from bench.contest import compete

    with tempfile.TemporaryDirectory() as scratch:
        compete("loading", GOALS, batch=64, side=32, workers=2, folder=scratch)


if __name__ == "__main__":
    main()
