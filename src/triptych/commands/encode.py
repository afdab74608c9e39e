"""`triptych encode`: the features of images, one row each, from a model that encodes or from its critic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from triptych.errors import UsageError
from triptych.flags import Flag
from triptych.screen import SCREEN, Screen

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from triptych.core import Encodes, Shape, Source


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
    critic: Annotated[bool, Flag("features of the critic that the model was trained against, not the model's")] = False,
    draw: Annotated[bool, Flag("draw from the posterior instead of taking its mean")] = False,
    seed: Annotated[int | str, Flag("with --draw: image i is drawn with seed + i", metavar="N")] = 0,
    batch: Annotated[int | str, Flag("images encoded at once", metavar="N")] = 64,
    device: Annotated[str, Flag("auto, cpu, cuda, cuda:1, mps", metavar="NAME")] = "auto",
    screen: Screen = SCREEN,
) -> Encoded:
    """Encode every image of DATA, in the order of their names, brought to the model's size.

    From Python MODEL may be a loaded model, and DATA a uint8 tensor (N, C, H, W). A model that does
    not encode may have been trained against a critic whose features do: `critic` takes those.
    """
    from pathlib import Path

    from triptych.devices import pick
    from triptych.gallery import write_npz
    from triptych.quantities import count
    from triptych.store import load, load_objective

    size, first = count(batch, "--batch", 1, 65536), count(seed, "--seed", 0)
    path = None if out is None else Path(out)
    if path is not None and path.suffix.lower() != ".npz":
        raise UsageError(f"-o {path}: features are written as .npz; give a name that ends in it.")
    if critic and draw:
        raise UsageError("--draw: a critic's features are not drawn; leave --draw or --critic out.")
    stored = isinstance(model, (str, Path))
    net = (load_objective if critic else load)(model, pick(device)) if stored else model
    encoder = _encoder(net)
    data: dict[str, Any] = net.recipe["data"] if hasattr(net, "recipe") else {"image_shape": net.image_shape}
    source = _source(images, tuple(data["image_shape"]), data.get("fit", "crop"), screen)
    features, labels = _features(encoder, next(net.parameters()).device, source, size, first if draw else None, screen)
    import numpy as np

    result = Encoded(features, np.asarray(source.names, dtype=np.str_), labels, out)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays = {"features": result.features, "names": result.names}
        write_npz(path, arrays if labels is None else {**arrays, "labels": labels})
        screen.say(f"Wrote {path}: {features.shape[0]:,} images, {features.shape[1]} features each.")
    return result


def _encoder(net: nn.Module) -> Encodes:
    from triptych import recipe
    from triptych.core import Encodes, Model

    if isinstance(net, Encodes):
        return net
    if not isinstance(net, Model):
        raise UsageError("This model was trained without a critic; leave --critic out.")
    able = [name for name in recipe.names() if "encode" in recipe.about(name).can]
    raise UsageError(
        f"This model does not encode; train one that does ({', '.join(able)}), or give --critic where it had a critic."
    )


def _source(images: Any, shape: Shape, fit: str, screen: Screen) -> Source:
    """All images of the data at the size and with the channels of the model."""
    import torch

    from triptych.data import open_data
    from triptych.data.arrays import ArraySource

    if isinstance(images, torch.Tensor):
        return ArraySource(images.numpy())
    return open_data(str(images), size=shape[1:], channels=shape[0], fit=fit, note=screen.say).everything


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
