"""`triptych encode`: the features of images, one row each, from a model that encodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from triptych.errors import UsageError
from triptych.flags import Flag
from triptych.screen import SCREEN, Screen

if TYPE_CHECKING:
    import numpy as np

    from triptych.core import Encodes, Model, Source


class Encoded(NamedTuple):
    """Features beside what they are features of."""

    features: np.ndarray  # (N, D) float32
    names: np.ndarray  # (N,) text
    labels: np.ndarray | None  # (N,) int64, where the data has classes
    path: str | None


def encode(
    model: Annotated[Any, Flag("a run folder, or one checkpoint in its at/", metavar="RUN")],
    images: Annotated[Any, Flag("a data set's name, a folder or zip of images, an .npz, or a pack", metavar="DATA")],
    *,
    out: Annotated[str | None, Flag("an .npz file with features, names and labels", ("-o", "--out"), "FILE")] = None,
    draw: Annotated[bool, Flag("draw from the posterior instead of taking its mean")] = False,
    seed: Annotated[int | str, Flag("with --draw: image i is drawn with seed + i", metavar="N")] = 0,
    batch: Annotated[int | str, Flag("images encoded at once", metavar="N")] = 64,
    device: Annotated[str, Flag("auto, cpu, cuda, cuda:1, mps", metavar="NAME")] = "auto",
    screen: Screen = SCREEN,
) -> Encoded:
    """Encode every image of DATA, in the order of their names, brought to the model's size.

    From Python MODEL may be a loaded model, and DATA a uint8 tensor (N, C, H, W).
    """
    from pathlib import Path

    from triptych.devices import pick
    from triptych.gallery import write_npz
    from triptych.quantities import count
    from triptych.store import load

    size, first = count(batch, "--batch", 1, 65536), count(seed, "--seed", 0)
    path = None if out is None else Path(out)
    if path is not None and path.suffix.lower() != ".npz":
        raise UsageError(f"-o {path}: features are written as .npz; give a name that ends in it.")
    net = load(model, pick(device)) if isinstance(model, (str, Path)) else model
    encoder = _encoder(net)
    source = _source(images, net, screen)
    features, labels = _features(encoder, next(net.parameters()).device, source, size, first if draw else None, screen)
    import numpy as np

    result = Encoded(features, np.asarray(source.names, dtype=np.str_), labels, out)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays = {"features": result.features, "names": result.names}
        write_npz(path, arrays if labels is None else {**arrays, "labels": labels})
        screen.say(f"Wrote {path}: {features.shape[0]:,} images, {features.shape[1]} features each.")
    return result


def _encoder(net: Model) -> Encodes:
    from triptych import recipe
    from triptych.core import Encodes

    if not isinstance(net, Encodes):
        able = [name for name in recipe.names() if "encode" in recipe.about(name).can]
        raise UsageError(f"This model does not encode; train one that does: {', '.join(able)}.")
    return net


def _source(images: Any, net: Model, screen: Screen) -> Source:
    """All images of the data at the size and with the channels of the model."""
    import torch

    from triptych.data import open_data
    from triptych.data.arrays import ArraySource

    if isinstance(images, torch.Tensor):
        return ArraySource(images.numpy())
    channels, height, width = net.image_shape
    fit = net.recipe["data"]["fit"] if hasattr(net, "recipe") else "crop"
    return open_data(str(images), size=(height, width), channels=channels, fit=fit, note=screen.say).everything


def _features(
    net: Encodes, device: Any, source: Source, size: int, first: int | None, screen: Screen
) -> tuple[Any, Any]:
    """Features (N, D) float32, and labels (N,) or nothing."""
    import torch

    from triptych.chance import Draw
    from triptych.pixels import to_float

    rows, labels = [], []
    with torch.no_grad(), screen.progress("encoding", len(source)) as line:
        for start in range(0, len(source), size):
            part = range(start, min(start + size, len(source)))
            batch = source.read(part)
            given = {name: value.to(device) for name, value in batch.given.items()}
            draw = None if first is None else Draw([first + i for i in part], device)
            z = net.encode(to_float(batch.images.to(device)), given, draw)
            rows.append(z.flatten(1).float().cpu())
            labels += [batch.given["labels"]] if "labels" in batch.given else []
            line(part.stop)
    return torch.cat(rows).numpy(), torch.cat(labels).numpy() if labels else None
