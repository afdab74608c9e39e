"""What a model sees in images: one row of features for each, and images brought to its size.

No model is told the class of an image here, so that nothing of a label is in its features.

Notation: N images, C channels, H W image sides, D features.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triptych import recipe
from triptych.chance import Draw
from triptych.core import NOTHING, Encodes, Model, Shape, Source
from triptych.data import Splits, open_data
from triptych.data.arrays import ArraySource
from triptych.data.photographs import open_images
from triptych.devices import pick
from triptych.errors import UsageError, package
from triptych.gallery import write_npz
from triptych.pixels import to_float
from triptych.sampling import still
from triptych.store import load, load_objective

ENDINGS = (".npz", ".parquet")
Labels = NDArray[np.int64]
Note = Callable[[str], None]


def unwatched(done: float) -> None:
    """Progress that nobody watches."""


class Encoder(NamedTuple):
    """A network that encodes, and the images that it takes."""

    net: Any  # a torch.nn.Module that `Encodes`
    shape: Shape
    fit: str  # how its training images were brought to that shape
    trained_on: str | None  # where they lay

    def data(self, where: str | Path | None, note: Note) -> Splits:
        """Any data at the model's size, by default what it was trained on; raises as `open_data` does."""
        if where is None and self.trained_on is None:
            raise UsageError("DATA is missing: name the images, since this model does not say what it was trained on.")
        channels, height, width = self.shape
        place = self.trained_on if where is None else where
        return open_data(str(place), size=(height, width), channels=channels, fit=self.fit, note=note)

    def images(self, paths: str | Path | Sequence[str | Path]) -> ArraySource:
        """One image file, or several, at the model's size; raises as `open_images` does."""
        return open_images([paths] if isinstance(paths, (str, Path)) else paths, self.shape, self.fit)


def encoder(model: Any, device: str = "auto", critic: bool = False) -> Encoder:
    """The encoder in a run folder, one checkpoint or a loaded model; with `critic` the one it was trained against.

    Raises a `UsageError` that names those that encode where this one does not.
    """
    stored = isinstance(model, (str, Path))
    net = (load_objective if critic else load)(model, pick(device)) if stored else model
    if not isinstance(net, Encodes):
        raise UsageError(_refusal(net))
    data: dict[str, Any] = getattr(net, "recipe", {}).get("data", {})
    shape = tuple(data["image_shape"]) if data else net.image_shape  # type: ignore[attr-defined]
    return Encoder(net, shape, data.get("fit", "crop"), data.get("where"))


def _refusal(net: object) -> str:
    if not isinstance(net, Model):
        return "This model was trained without a critic; leave --critic out."
    able = ", ".join(name for name in recipe.names() if "encode" in recipe.about(name).can)
    return f"This model does not encode; train one that does ({able}), or give --critic where it had a critic."


def features(
    seer: Encoder, source: Source, batch: int = 64, first: int | None = None,
    progress: Callable[[float], None] = unwatched,
) -> Tensor:  # fmt: skip
    """What an encoder sees in all images of a source, float32 (N, D) on the CPU.

    The mean where it has a posterior, or with `first` a draw from it: image i with the seed first + i.
    """
    rows = []
    with still(seer.net, seer.shape[1:]) as device, torch.no_grad():
        for start in range(0, len(source), batch):
            part = range(start, min(start + batch, len(source)))
            draw = None if first is None else Draw([first + i for i in part], device)
            z = seer.net.encode(to_float(source.read(part).images.to(device)), NOTHING, draw)
            rows.append(z.flatten(1).float().cpu())
            progress(part.stop)
    return torch.cat(rows)


def check(path: Path) -> None:
    """Raises a `UsageError` for an ending that features are not written as, a `ResourceError` without pyarrow."""
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(f"-o {path}: features are written as .npz or .parquet; give a name that ends in one of them.")
    if path.suffix.lower() == ".parquet":
        _parquet()


def write(
    path: Path,
    rows: NDArray[np.float32],
    names: NDArray[np.str_],
    labels: Labels | None = None,
    class_names: Sequence[str] = (),
) -> None:
    """Features (N, D) with what they are features of, as .npz or .parquet; raises as `check` does.

    Both hold `features`, `names` and, where there are labels, `labels`; an .npz holds `class_names` once,
    a .parquet each image's own as `classes`.
    """
    check(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    npz, known = path.suffix.lower() == ".npz", np.asarray(class_names, dtype=np.str_)
    arrays: dict[str, Any] = {"features": rows, "names": names}
    if labels is not None:
        arrays["labels"] = labels
        arrays["class_names" if npz else "classes"] = known if npz else known[labels]
    writer = write_npz if npz else _write_parquet
    writer(path, arrays)


def _write_parquet(path: Path, columns: dict[str, Any]) -> None:
    """Features as a column of lists of one length, which keeps any D readable; written aside, then renamed."""
    arrow, parquet = package("pyarrow", "Parquet", "data"), _parquet()
    rows = columns["features"]
    as_lists = arrow.FixedSizeListArray.from_arrays(arrow.array(rows.reshape(-1)), rows.shape[1])
    texts = {name: [_text(word) for word in columns[name]] for name in ("names", "classes") if name in columns}
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    parquet.write_table(arrow.table(columns | texts | {"features": as_lists}), aside)
    os.replace(aside, path)


def _text(word: str) -> str:
    """A name without the broken bytes that a file system may hold and UTF-8 may not."""
    return str(word).encode("utf-8", "backslashreplace").decode()


def _parquet() -> Any:
    return package("pyarrow.parquet", "A .parquet file", "data")
