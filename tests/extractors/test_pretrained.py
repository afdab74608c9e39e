"""Encoders of the library transformers: tiny random ones, against the library called directly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import interpolate

from triptych.errors import ResourceError, UsageError
from triptych.extractors import Extractor, extractor
from triptych.extractors.pretrained import KINDS, build
from triptych.extractors.seeing import sha256


def images(count: int, channels: int = 3, side: int = 32, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, channels, side, side), dtype=torch.uint8, generator=generator)


MEAN, DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]  # of ImageNet


@pytest.fixture(scope="module")
def library() -> Any:
    return pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def dinov2(library: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    folder = tmp_path_factory.mktemp("dinov2")
    library.Dinov2Model(library.Dinov2Config(image_size=56, patch_size=14, **sizes)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def clip(library: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = library.CLIPVisionConfig(image_size=48, patch_size=16, projection_dim=24, **sizes)
    folder = tmp_path_factory.mktemp("clip")
    library.CLIPVisionModelWithProjection(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def made(dinov2: Path) -> Extractor:
    return extractor(f"dinov2:{dinov2}")


def by_pillow(batch: Tensor, side: int, mean: list[float], deviation: list[float]) -> Tensor:
    """The images as Pillow resizes them, (B, 3, side, side) normalised."""
    import numpy as np
    from PIL import Image

    pictures = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in batch]
    arrays = [np.array(picture.resize((side, side), Image.Resampling.BICUBIC)) for picture in pictures]
    x = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).float() / 255
    return (x - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(deviation).view(3, 1, 1)


@torch.no_grad()
def test_dinov2_is_the_class_token_after_the_norm(library: Any, dinov2: Path, made: Extractor) -> None:
    witness = library.Dinov2Model.from_pretrained(dinov2).eval()
    batch = images(3)
    expected = witness(by_pillow(batch, 224, MEAN, DEVIATION)).pooler_output
    seen = made.look(batch)
    assert seen.features.shape == (3, 32)
    torch.testing.assert_close(seen.features, expected, rtol=0, atol=5e-3)  # Pillow rounds once more
    whole = images(2, side=224)  # nothing to resize, nothing to round
    expected = witness(by_pillow(whole, 224, MEAN, DEVIATION)).last_hidden_state[:, 0]
    torch.testing.assert_close(made.look(whole).features, expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_clip_is_the_projected_embedding_of_length_one(library: Any, clip: Path) -> None:
    witness = library.CLIPVisionModelWithProjection.from_pretrained(clip).eval()
    look = extractor(f"clip:{clip}").look
    mean, deviation = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
    embeds = witness(by_pillow(images(3, side=48), 48, mean, deviation)).image_embeds  # nothing to resize
    seen = look(images(3, side=48))
    torch.testing.assert_close(seen.features.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(seen.features, embeds / embeds.norm(dim=1, keepdim=True), rtol=0, atol=1e-5)


@torch.no_grad()
def test_what_bicubic_overshoots_is_cut_and_rounded_to_8_bits(library: Any, clip: Path) -> None:
    witness = library.CLIPVisionModelWithProjection.from_pretrained(clip).eval()
    stark = (images(3) > 127).to(torch.uint8) * 255
    smooth = interpolate(stark.float() / 255, (48, 48), mode="bicubic", antialias=True)
    assert smooth.max() > 1.05
    levels = (smooth.clamp(0, 1) * 255).round()
    mean, deviation = (torch.tensor(values).view(3, 1, 1) for values in (KINDS["clip"].mean, KINDS["clip"].deviation))
    embeds = witness((levels / 255 - mean) / deviation).image_embeds
    seen = extractor(f"clip:{clip}").look(stark)
    torch.testing.assert_close(seen.features, embeds / embeds.norm(dim=1, keepdim=True), rtol=0, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_grey_is_repeated_and_alpha_lies_over_white(made: Extractor, channels: int) -> None:
    given = images(2, channels)
    if channels == 1:
        colour = given.repeat(1, 3, 1, 1)
    else:
        given[:, -1] = torch.where(given[:, -1] > 127, 255, 0)
        white = torch.where(given[:, -1:] > 0, given[:, :-1], torch.full_like(given[:, :-1], 255))
        colour = white.expand(-1, 3, -1, -1).contiguous()
    torch.testing.assert_close(made.look(given).features, made.look(colour).features, rtol=1e-5, atol=1e-5)


def test_features_do_not_depend_on_the_batch(made: Extractor) -> None:
    batch = images(3)
    alone = torch.cat([made.look(image[None]).features for image in batch])
    torch.testing.assert_close(made.look(batch).features, alone, rtol=1e-5, atol=1e-5)


def test_about_names_the_weights_and_the_resize(made: Extractor, dinov2: Path) -> None:
    digest = sha256([dinov2 / "model.safetensors"])[:8]
    assert made.about == f"dinov2 {digest}, 224x224 px by antialiased bicubic, alpha over white"


def test_a_folder_without_safetensors_is_refused(dinov2: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((dinov2 / "config.json").read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"a pickle")
    with pytest.raises(UsageError, match=r"has no model\.safetensors"):
        extractor(f"dinov2:{tmp_path}")


def test_a_model_of_another_kind_is_refused(clip: Path) -> None:
    with pytest.raises(UsageError, match="of the type 'clip_vision_model', not dinov2"):
        extractor(f"dinov2:{clip}")


@pytest.mark.parametrize("damage", ["config", "weights", "shapes", "names"])
def test_a_damaged_folder_is_refused(dinov2: Path, tmp_path: Path, damage: str) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((dinov2 / name).read_bytes())
    if damage == "config":
        (tmp_path / "config.json").write_text("{")
    elif damage == "weights":
        (tmp_path / "model.safetensors").write_bytes(b"nonsense" * 9)
    elif damage == "shapes":
        config = json.loads((tmp_path / "config.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps(config | {"hidden_size": 16}))
    else:  # the library alone would go on with random weights
        kept = load_file(tmp_path / "model.safetensors")
        kept["other"] = kept.pop("layernorm.weight")
        save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UsageError, match=r"save (it|the model) again"):
        extractor(f"dinov2:{tmp_path}")


def test_code_in_a_folder_is_not_run(dinov2: Path, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((dinov2 / name).read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "code.Model", "AutoConfig": "code.Config"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "code.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\n")
    assert extractor(f"dinov2:{tmp_path}").look(images(1)).features.shape == (1, 32)
    assert not (tmp_path / "sprung").exists()


def test_clip_needs_a_folder(library: Any) -> None:
    with pytest.raises(UsageError, match="clip:FOLDER"):
        extractor("clip")


def test_the_pin_is_a_revision_and_a_digest() -> None:
    pin = KINDS["dinov2"].pin
    assert pin is not None
    assert len(pin.revision) == 40
    assert len(pin.sha256) == 64


def test_offline_the_cure_is_said(library: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache and a hub that answers nobody."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ResourceError, match=r"HF_HOME.*dinov2:FOLDER"):
        extractor("dinov2")


def test_the_hubs_cache_is_used_and_its_digest_checked(dinov2: Path, tmp_path: Path, monkeypatch: Any) -> None:
    from huggingface_hub import constants

    kind = KINDS["dinov2"]
    assert kind.pin is not None
    folder = tmp_path / "models--facebook--dinov2-large" / "snapshots" / kind.pin.revision
    folder.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_bytes((dinov2 / name).read_bytes())
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ResourceError, match=r"does not hold the known facebook/dinov2-large"):
        extractor("dinov2")
    pinned = kind._replace(pin=kind.pin._replace(sha256=sha256([dinov2 / "model.safetensors"])))
    assert build(pinned, "", torch.device("cpu")).look(images(2)).features.shape == (2, 32)
