"""triptych: GAN, VAE and diffusion side by side on one canvas.

    import triptych

    triptych.train("vae", "digits", out="runs/v", images=200_000)
    model = triptych.load("runs/v")
    for batch in triptych.generate(model, seeds=range(64)):
        batch.images  # uint8 (B, C, H, W)

The commands of the command line are the functions of this module. They are imported when they are
first used, so that `import triptych` costs nothing.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

# Threads that spin while they wait take the cores from whoever works: beside other programs a small
# network then trains up to fifty times slower. Read once, when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"

_HOMES = {
    "anomalies": "triptych.commands.anomalies",
    "attribute": "triptych.commands.attribute",
    "card": "triptych.commands.card",
    "colorize": "triptych.commands.colorize",
    "compare": "triptych.commands.compare",
    "diffuse": "triptych.commands.diffuse",
    "directions": "triptych.commands.directions",
    "doctor": "triptych.commands.doctor",
    "edit": "triptych.commands.edit",
    "encode": "triptych.commands.encode",
    "evaluate": "triptych.commands.evaluate",
    "inpaint": "triptych.commands.inpaint",
    "interpolate": "triptych.commands.interpolate",
    "invert": "triptych.commands.invert",
    "models": "triptych.commands.models",
    "neighbours": "triptych.commands.neighbours",
    "pack": "triptych.commands.pack",
    "privacy": "triptych.commands.privacy",
    "probe": "triptych.commands.probe",
    "reconstruct": "triptych.commands.reconstruct",
    "sample": "triptych.commands.sample",
    "schedule": "triptych.commands.schedule",
    "score": "triptych.commands.score",
    "train": "triptych.commands.train",
    "traverse": "triptych.commands.traverse",
    "upscale": "triptych.commands.upscale",
    "generate": "triptych.sampling",
    "load": "triptych.store",
    "open_data": "triptych.data",
    "Draw": "triptych.chance",
    "TriptychError": "triptych.errors",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'triptych' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
