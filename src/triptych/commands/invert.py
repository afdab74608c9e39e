"""`triptych invert`: real images as styles of a model, with what it makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple

from triptych.flags import RUN, Device, Flag
from triptych.screen import SCREEN, Line, Screen

if TYPE_CHECKING:
    import numpy as np

IN_PICTURE = 64  # images that inverted.png shows


class Found(NamedTuple):
    """Styles beside what they are styles of."""

    styles: np.ndarray  # (N, ..., D) float32
    names: np.ndarray  # (N,) text
    psnr: list[float]  # dB, one for each image
    steps: int  # of each batch, at least
    path: str


def invert(
    run: Annotated[str, Flag(RUN)],
    images: Annotated[
        str, Flag("an image, a folder or zip of them, an .npz, a pack, a data set's name", metavar="DATA")
    ],
    *,
    out: Annotated[str, Flag("a folder for inverted.png and inverted.npz", ("-o", "--out"), "PATH")] = "inverted",
    steps: Annotated[int | str, Flag("steps of the descent", metavar="N")] = 300,
    seconds: Annotated[float | str | None, Flag("stop earlier, after so long in all", metavar="TIME")] = None,
    extractor: Annotated[str, Flag("what compares beside the pixels: bundled, or pixels for nothing")] = "bundled",
    batch: Annotated[int | str, Flag("images found at once; changes speed and memory only", metavar="N")] = 16,
    device: Device = "auto",
    screen: Screen = SCREEN,
) -> Found:
    """Find the styles with which the model of RUN paints images nearest to those of DATA."""
    import math
    from functools import partial
    from pathlib import Path

    import numpy as np
    import torch

    from triptych import inversion, quantities
    from triptych.devices import pick
    from triptych.gallery import write_npz
    from triptych.insight import asked, threefold
    from triptych.pixels import write_png
    from triptych.store import load

    size, most = quantities.count(batch, "--batch", 1, 65536), quantities.count(steps, "--steps", 1, 1_000_000)
    span = math.inf if seconds is None else quantities.seconds(seconds, "--seconds")
    model = load(run, pick(device))
    inversion.styled(model)
    watch = inversion.sight(extractor, next(model.parameters()).device)
    source, found, pairs = asked(model, images, screen.say), [], []
    with screen.progress("inverting", len(source)) as line:
        for start in range(0, len(source), size):
            real = source.read(range(start, min(start + size, len(source)))).images
            note = partial(_note, line, start, len(real))
            found.append(inversion.invert(model, real, watch, most, span * len(real) / len(source), note))
            pairs.append((real, found[-1].images))
    real, made = (torch.cat(part)[:IN_PICTURE] for part in zip(*pairs, strict=True))
    nearness = torch.cat([one.psnr for one in found])
    styles, names = torch.cat([one.styles for one in found]).numpy(), np.asarray(source.names, dtype=np.str_)
    write_png(threefold(real, made), Path(out) / "inverted.png")
    write_npz(Path(out) / "inverted.npz", {"styles": styles, "names": names, "psnr": nearness.numpy()})
    screen.say(f"Wrote {out}: {len(styles):,} images, PSNR {nearness.median():.1f} dB in the median.")
    return Found(styles, names, nearness.tolist(), min(one.steps for one in found), out)


def _note(line: Line, start: int, images: int, share: float) -> None:
    line(start + share * images)
