"""`triptych encode`: the features of images, one row each, from a model that encodes or from its critic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from triptych.errors import UsageError
from triptych.flags import RUN, Device, Flag
from triptych.screen import SCREEN, Screen

if TYPE_CHECKING:
    import numpy as np

    from triptych.data.arrays import ArraySource
    from triptych.features import Encoder


class Encoded(NamedTuple):
    """Features beside what they are features of."""

    features: np.ndarray  # (N, D) float32
    names: np.ndarray  # (N,) text
    labels: np.ndarray | None  # (N,) int64, where the data has classes
    class_names: list[str]  # [] where it has none
    path: str | None


def encode(
    model: Annotated[Any, Flag(RUN, metavar="RUN")],
    images: Annotated[Any, Flag("a data set's name, a folder or zip of images, an .npz, or a pack", metavar="DATA")],
    *,
    out: Annotated[str | None, Flag("x.npz or x.parquet: features, names, labels", ("-o", "--out"), "FILE")] = None,
    critic: Annotated[bool, Flag("features of the critic that the model was trained against, not the model's")] = False,
    draw: Annotated[bool, Flag("draw from the posterior instead of taking its mean")] = False,
    seed: Annotated[int | str, Flag("with --draw: image i is drawn with seed + i", metavar="N")] = 0,
    batch: Annotated[int | str, Flag("images encoded at once", metavar="N")] = 64,
    device: Device = "auto",
    screen: Screen = SCREEN,
) -> Encoded:
    """Encode every image of DATA, in the order of their names, brought to the model's size.

    From Python MODEL may be a loaded model, and DATA a uint8 tensor (N, C, H, W). A model that does
    not encode may have been trained against a critic whose features do: `critic` takes those.
    """
    from pathlib import Path

    import numpy as np

    from triptych import features
    from triptych.quantities import count

    size, first = count(batch, "--batch", 1, 65536), count(seed, "--seed", 0)
    path = None if out is None else Path(out)
    if path is not None:
        features.check(path)
    if critic and draw:
        raise UsageError("--draw: a critic's features are not drawn; leave --draw or --critic out.")
    seer = features.encoder(model, device, critic)
    source = _source(images, seer, screen)
    with screen.progress("encoding", len(source)) as line:
        rows = features.features(seer, source, size, first if draw else None, line).numpy()
    names = np.asarray(source.names, dtype=np.str_)
    if path is not None:
        features.write(path, rows, names, source.labels, source.class_names)
        screen.say(f"Wrote {path}: {rows.shape[0]:,} images, {rows.shape[1]} features each.")
    return Encoded(rows, names, source.labels, list(source.class_names), out)


def _source(images: Any, seer: Encoder, screen: Screen) -> ArraySource:
    """All images of the data at the size and with the channels of the model."""
    import torch

    from triptych.data.arrays import ArraySource

    if isinstance(images, torch.Tensor):
        return ArraySource(images.numpy())
    return seer.data(images, screen.say).everything
