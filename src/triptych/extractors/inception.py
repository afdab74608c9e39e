"""The 2015 Inception features as torch-fidelity computes them: FID, KID, IS that compare with papers.

The network is the one of the original TensorFlow graph (Szegedy et al. 2016, arXiv:1512.00567), with
the graph's own bilinear resize to 299 px, which neither centres pixels nor antialiases. Its weights
are PyTorch's pickle format, which can carry code: the file is read only when its whole SHA-256 is the
known one, and torch-fidelity's own download, which does not check, is not used.

Notation: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor

from triptych.errors import ResourceError, package
from triptych.extractors import Extractor, Seen
from triptych.extractors.seeing import WHITE, looking, over, sha256

SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
LAYERS = ["2048", "logits_unbiased"]  # the pooled features, and the logits of the Inception Score


def build(device: torch.device, weights: Path | None = None, digest: str = SHA256) -> Extractor:
    """Features (B, 2048) and logits (B, 1008) without bias; grey is repeated, alpha lies over white.

    `weights` is the file, by default the one in PyTorch's cache, downloaded when it is not there.
    Raises a `ResourceError` without torch-fidelity, without the file, or where the file's SHA-256 is
    not `digest`.
    """
    package("torch_fidelity", "The extractor inception", "metrics")
    source = package("torch_fidelity.feature_extractor_inceptionv3", "The extractor inception", "metrics")
    path = checked(weights or cached(source.URL_INCEPTION_V3, digest), digest)
    net = source.FeatureExtractorInceptionV3("inception", LAYERS, feature_extractor_weights_path=str(path)).to(device)

    def see(images: Tensor) -> Seen:
        features, logits = net((over(images, WHITE) * 255).round().to(torch.uint8))
        return Seen(features, logits)

    how = "299x299 px by TensorFlow 1's bilinear, alpha over white"
    return Extractor("inception", f"inception {digest[:8]}, {how}", looking(see, device))


def cached(url: str, digest: str) -> Path:
    """The file of this address in PyTorch's cache; downloaded aside, checked and renamed where it is not there."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[1]
    if path.exists():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_prefix=digest, progress=sys.stderr.isatty())
    except (OSError, RuntimeError) as error:
        raise ResourceError(
            f"The Inception weights are not at {path} and could not be downloaded ({error}): put the file of {url} "
            "there, or let TORCH_HOME name the folder whose hub/checkpoints holds it."
        ) from error
    return path


def checked(path: Path, digest: str) -> Path:
    """The path, if the file's SHA-256 is this one."""
    try:
        found = sha256([path])
    except OSError as error:
        raise ResourceError(f"The Inception weights {path} cannot be read ({error.strerror}).") from error
    if found != digest:
        raise ResourceError(
            f"{path} is not the known file of Inception weights (SHA-256 {found[:8]} in place of {digest[:8]}): "
            "delete it, and it is downloaded again."
        )
    return path
