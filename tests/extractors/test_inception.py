"""The Inception features, against torch-fidelity called directly, with random weights in the known format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from triptych.errors import ResourceError
from triptych.extractors import Extractor
from triptych.extractors.inception import LAYERS, SHA256, build, cached, checked
from triptych.extractors.seeing import sha256

CPU = torch.device("cpu")


def images(count: int, channels: int = 3, side: int = 32, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, channels, side, side), dtype=torch.uint8, generator=generator)


@pytest.fixture(scope="module")
def fidelity() -> Any:
    """torch-fidelity's module, where it is installed and its torchvision works."""
    try:
        import torch_fidelity.feature_extractor_inceptionv3 as module
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"torch-fidelity is not usable here: {error}")
    return module


@pytest.fixture(scope="module")
def weights(fidelity: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in a file of the known format."""

    class Blank(fidelity.FeatureExtractorInceptionV3):  # type: ignore[misc]
        def load_state_dict(self, *_: Any, **__: Any) -> None:  # keep the random weights
            return None

    folder = tmp_path_factory.mktemp("inception")
    torch.save({}, folder / "empty.pth")
    torch.manual_seed(0)
    blank = Blank("blank", LAYERS, feature_extractor_weights_path=str(folder / "empty.pth"))
    torch.save(blank.state_dict(), folder / "random.pth")
    return folder / "random.pth"


@pytest.fixture(scope="module")
def made(weights: Path) -> Extractor:
    return build(CPU, weights, sha256([weights]))


@pytest.fixture(scope="module")
def witness(fidelity: Any, weights: Path) -> Any:
    return fidelity.FeatureExtractorInceptionV3("witness", LAYERS, feature_extractor_weights_path=str(weights))


def test_features_are_those_of_torch_fidelity(made: Extractor, witness: Any) -> None:
    batch = images(3)
    features, logits = witness(batch)
    seen = made.look(batch)
    assert seen.features.shape == (3, 2048)
    assert torch.equal(seen.features, features)
    assert seen.logits is not None
    assert torch.equal(seen.logits, logits)


def test_the_layers_are_those_of_torch_fidelitys_metrics(fidelity: Any) -> None:
    layer = fidelity.FeatureExtractorInceptionV3.get_default_feature_layer_for_metric
    assert [layer("fid"), layer("isc")] == LAYERS
    assert layer("kid") == layer("prc") == LAYERS[0]


def test_grey_is_repeated_and_alpha_lies_over_white(made: Extractor, witness: Any) -> None:
    grey = images(1, channels=1)
    assert torch.equal(made.look(grey).features, witness(grey.repeat(1, 3, 1, 1))[0])
    colour, mask = images(1, seed=1), images(1, channels=1, seed=2) > 127
    white = torch.where(mask, colour, torch.full_like(colour, 255))
    given = torch.cat([colour, mask.to(torch.uint8) * 255], dim=1)
    assert torch.equal(made.look(given).features, witness(white)[0])


def test_features_do_not_depend_on_the_batch(made: Extractor) -> None:
    batch = images(3)
    alone = torch.cat([made.look(image[None]).features for image in batch])
    torch.testing.assert_close(made.look(batch).features, alone, rtol=1e-5, atol=1e-5)


def test_about_names_the_weights_and_the_resize(made: Extractor, weights: Path) -> None:
    assert made.name == "inception"
    digest = sha256([weights])[:8]
    assert made.about == f"inception {digest}, 299x299 px by TensorFlow 1's bilinear, alpha over white"


def test_other_weights_are_refused_before_they_are_read(tmp_path: Path, fidelity: Any) -> None:
    """The file would run code when unpickled: it is never opened as such."""
    trap = tmp_path / "weights.pth"
    torch.save({"x": Trap(str(tmp_path / "sprung"))}, trap)
    with pytest.raises(ResourceError, match=r"not the known file .*in place of 6726825d\): delete it"):
        build(CPU, trap)
    assert not (tmp_path / "sprung").exists()


class Trap:
    """An object that writes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (Path(self.path),)


def test_the_pinned_digest_belongs_to_the_file_that_torch_fidelity_names(fidelity: Any) -> None:
    assert fidelity.URL_INCEPTION_V3.endswith(f"-{SHA256[:8]}.pth")
    assert len(SHA256) == 64


def test_offline_the_place_of_the_file_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(ResourceError, match=r"hub/checkpoints/some\.pth and could not be downloaded .*TORCH_HOME"):
        cached("http://127.0.0.1:9/some.pth", SHA256)


def test_a_download_is_checked_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    (tmp_path / "some.pth").write_bytes(b"weights")
    url, digest = (tmp_path / "some.pth").as_uri(), sha256([tmp_path / "some.pth"])
    with pytest.raises(ResourceError, match="could not be downloaded"):
        cached(url, SHA256)
    place = tmp_path / "home" / "hub" / "checkpoints"
    assert not list(place.iterdir())  # nothing of what was wrong is kept
    assert cached(url, digest) == place / "some.pth"
    (tmp_path / "some.pth").unlink()
    assert cached(url, digest).read_bytes() == b"weights"  # from the cache now


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="cannot be read"):
        checked(tmp_path / "none.pth", SHA256)
