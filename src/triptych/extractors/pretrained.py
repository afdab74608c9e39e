"""Vision transformers of the library transformers, from a folder of one's own or, pinned, from its hub.

`dinov2` is DINOv2 ViT-L/14 (Oquab et al. 2023, arXiv:2304.07193), the features of FD-DINOv2 (Stein et
al. 2023, arXiv:2306.04675): the class token after the last norm. `clip:FOLDER` is a CLIP image encoder,
whose projected embeddings, brought to length 1, are those of CMMD (Jayasumana et al. 2024,
arXiv:2401.09603). Images are resized to a square by antialiased bicubic and rounded to 8 bits.

Only safetensors files are read, and never code from a model's folder.

Notation: B batch, C channels, H height, W width, D features.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.nn.functional import normalize

from triptych.errors import ResourceError, UsageError, package
from triptych.extractors import Extractor, Seen
from triptych.extractors.seeing import WHITE, looking, over, resized, sha256
from triptych.intake import json_of, text_of

NEEDED = ["config.json", "model.safetensors"]


class Pin(NamedTuple):
    """One version of a model on the hub."""

    repository: str
    revision: str
    sha256: str  # of model.safetensors


class Kind(NamedTuple):
    """A family of encoders, and how it wants its images."""

    name: str
    encoder: str  # the class in transformers
    types: tuple[str, ...]  # what `model_type` in its config.json may say
    side: Callable[[Any], int]  # px, of the configuration
    mean: tuple[float, float, float]  # of red, green and blue in [0, 1]
    deviation: tuple[float, float, float]
    features: Callable[[Any], Tensor]  # the encoder's output -> (B, D)
    pin: Pin | None = None


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            name="dinov2",
            encoder="Dinov2Model",
            types=("dinov2",),
            side=lambda config: 224,
            mean=(0.485, 0.456, 0.406),
            deviation=(0.229, 0.224, 0.225),
            features=lambda output: output.last_hidden_state[:, 0],
            pin=Pin(
                "facebook/dinov2-large",
                "47b73eefe95e8d44ec3623f8890bd894b6ea2d6c",
                "399fba97a95f22c36834418bc69373364a99af3a1153da1c0fb31db567c92e23",
            ),
        ),
        Kind(
            name="clip",
            encoder="CLIPVisionModelWithProjection",
            types=("clip", "clip_vision_model"),
            side=lambda config: int(config.image_size),
            mean=(0.48145466, 0.4578275, 0.40821073),
            deviation=(0.26862954, 0.26130258, 0.27577711),
            features=lambda output: normalize(output.image_embeds, dim=1),
        ),
    )
}


def build(kind: Kind, place: str, device: torch.device) -> Extractor:
    """The encoder in the folder `place`, or the pinned one of the hub where `place` is empty.

    Features are (B, D), D as the model has it. Raises a `UsageError` for a folder without such a model,
    a `ResourceError` without the package or where the hub cannot be reached.
    """
    library = package("transformers", f"The extractor {kind.name}", "transformers")
    folder = _folder(kind, Path(place)) if place else _fetched(kind)
    digest = sha256([folder / NEEDED[1]])
    if not place and kind.pin and digest != kind.pin.sha256:
        raise ResourceError(f"{folder} does not hold the known {kind.pin.repository}: delete it to download it again.")
    net = _encoder(library, kind, folder).to(device)
    side = kind.side(net.config)
    mean, deviation = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (kind.mean, kind.deviation))

    def see(images: Tensor) -> Seen:
        x = resized(over(images, WHITE), (side, side), "bicubic")
        x = (x.clamp(0, 1) * 255).round() / 255
        return Seen(kind.features(net(pixel_values=(x - mean) / deviation)))

    how = f"{side}x{side} px by antialiased bicubic, alpha over white"
    return Extractor(kind.name, f"{kind.name} {digest[:8]}, {how}", looking(see, device))


def _folder(kind: Kind, folder: Path) -> Path:
    """The folder, if it holds a model of this kind in one safetensors file."""
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing:
        raise UsageError(f"{folder} has no {' and no '.join(missing)}: name a folder that transformers has saved.")
    try:
        found = json_of(text_of(folder / NEEDED[0])).get("model_type")
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(f"{folder / NEEDED[0]} is not a model's configuration: save the model again.") from error
    if found not in kind.types:
        raise UsageError(f"{folder} holds a model of the type {found!r}, not {kind.name}: name another folder.")
    return folder


def _fetched(kind: Kind) -> Path:
    """The folder of the pinned model in the hub's cache; downloaded where it is not there."""
    pin = kind.pin
    if pin is None:
        raise UsageError(f"The extractor {kind.name} needs a folder with {' and '.join(NEEDED)}: {kind.name}:FOLDER.")
    hub = package("huggingface_hub", f"The extractor {kind.name}", "transformers")
    try:
        files = [Path(hub.hf_hub_download(pin.repository, name, revision=pin.revision)) for name in NEEDED]
    except Exception as error:  # the hub's client raises its own classes and those of its HTTP library
        reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise ResourceError(
            f"The weights {pin.repository} are neither in the hub's cache (HF_HOME) nor could they be downloaded "
            f"({reason[0]}): go online once, or use {kind.name}:FOLDER with {' and '.join(NEEDED)}."
        ) from error
    return files[0].parent


def _encoder(library: Any, kind: Kind, folder: Path) -> Any:
    """The frozen network, every weight from the file; no code and no kernels that the folder might name."""
    safely = {"local_files_only": True, "use_safetensors": True, "trust_remote_code": False}
    try:
        net, report = getattr(library, kind.encoder).from_pretrained(
            folder, **safely, attn_implementation="sdpa", dtype=torch.float32, output_loading_info=True
        )
        if report["missing_keys"]:  # the library would leave them random
            raise ValueError(f"no {min(report['missing_keys'])} among its weights")
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UsageError(f"The model in {folder} cannot be read ({reason}): save it again.") from error
    return net.eval().requires_grad_(False)
