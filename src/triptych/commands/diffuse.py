"""`triptych diffuse`: how images become noise."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from triptych.flags import Flag
from triptych.screen import SCREEN, Screen


class Diffused(NamedTuple):
    """What was written."""

    path: str
    images: int
    levels: list[float]  # s of each column, 0 first


def diffuse(
    images: Annotated[Any, Flag("image files", metavar="IMAGE", several=True)],
    *,
    path: Annotated[str, Flag("linear, cosine, straight or exploding", metavar="NAME")] = "linear",
    steps: Annotated[int | str, Flag("columns behind the image itself", metavar="N")] = 8,
    size: Annotated[int | str, Flag("bring images to 64 or 48x64 (height x width)", metavar="PIXELS")] = 64,
    channels: Annotated[int | str, Flag("1 to 4", metavar="N")] = 3,
    seed: Annotated[int | str, Flag("of the noise", metavar="N")] = 0,
    out: Annotated[str, Flag("x.png: a row for each image", ("-o", "--out"), "FILE")] = "diffused.png",
    screen: Screen = SCREEN,
) -> Diffused:
    """Show the forward process: x_t = alpha_t x + sigma_t n at even times, with the same noise n all along a row."""
    import torch

    from triptych import schema
    from triptych.chance import Draw
    from triptych.data.photographs import open_images
    from triptych.gallery import place_for
    from triptych.pixels import grid, to_float, to_uint8, write_png
    from triptych.quantities import count
    from triptych.quantities import size as sides

    place, number = place_for(out, ".png"), count(steps, "--steps", 1, 100)
    shape = (count(channels, "--channels", 1, 4), *sides(size, "--size"))
    way = schema.build("path", schema.complete_node("path", path, "--path"), {})
    files = [images] if isinstance(images, str) else list(images)
    x = to_float(open_images(files, shape).read(range(len(files))).images)  # (N, C, H, W)
    at = torch.linspace(0, len(way.table), number + 1).round().long()
    levels = torch.cat([torch.zeros(1, dtype=torch.float64), way.table])[at].float()  # (steps + 1,)
    first = count(seed, "--seed", 0)
    noise = Draw(range(first, first + len(files))).normal(*shape)
    seen = [way.alpha(s) * (x + s * noise) for s in levels]
    write_png(grid(to_uint8(torch.stack(seen, 1).flatten(0, 1)), number + 1), place)
    screen.say(f"Wrote {place}: {len(files):,} images along the path {path}, {number} steps from image to noise.")
    return Diffused(out, len(files), levels.tolist())
