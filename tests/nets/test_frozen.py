"""Frozen text encoders: tiny random ones, against the library called directly."""

from __future__ import annotations

import copy
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from triptych.errors import ResourceError, UsageError
from triptych.labels import written
from triptych.nets.frozen import FrozenReader, opened

TEXTS = ["a red heart", "heart", "", "red " * 20]
WORDS = ["<pad>", "</s>", "<unk>", "a", "red", "heart"]


@pytest.fixture(scope="module")
def library() -> Any:
    return pytest.importorskip("transformers")


@pytest.fixture(scope="module", params=["clip", "t5"])
def folder(request: pytest.FixtureRequest, library: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny encoder with a tokenizer of five words that ends each text by </s>."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    place = tmp_path_factory.mktemp(request.param)
    torch.manual_seed(0)
    if request.param == "clip":
        sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
        config = library.CLIPTextConfig(
            vocab_size=6, max_position_embeddings=9, bos_token_id=0, eos_token_id=1, pad_token_id=0, **sizes
        )
        library.CLIPTextModel(config).save_pretrained(place)
    else:
        config = library.T5Config(vocab_size=6, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2)
        library.T5EncoderModel(config).save_pretrained(place)
    tokenizer = Tokenizer(models.WordLevel({word: row for row, word in enumerate(WORDS)}, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.save(str(place / "tokenizer.json"))
    return place


@torch.no_grad()
def test_words_are_the_encoders_tokens_through_one_layer(library: Any, folder: Path) -> None:
    reader = FrozenReader(str(folder), features=5)
    words, heard = reader(written(TEXTS))
    longest = 9 if "clip" in folder.name else 21
    assert heard.sum(1).tolist() == [4, 2, 0, longest]
    assert words.shape == (4, longest, 5)
    assert not words[~heard].any()
    net = library.CLIPTextModel if "clip" in folder.name else library.T5EncoderModel
    states = net.from_pretrained(folder).eval()(input_ids=torch.tensor([[3, 4, 5, 1]])).last_hidden_state
    torch.testing.assert_close(words[0, :4], reader.answer(states)[0], rtol=1e-4, atol=1e-5)


def test_nothing_of_the_encoder_is_trained_saved_or_copied(folder: Path) -> None:
    reader = FrozenReader(str(folder), features=5)
    assert set(reader.state_dict()) == {"answer.weight", "answer.bias", "digest"}
    twin = copy.deepcopy(reader)
    assert opened(twin.encoder) is opened(reader.encoder)
    words, _ = twin(written(TEXTS))
    words.sum().backward()
    assert all(parameter.grad is None for parameter in opened(reader.encoder).net.parameters())
    assert twin.answer.weight.grad is not None


def test_other_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "other")
    weights = load_file(tmp_path / "other" / "model.safetensors")
    save_file(
        {name: value + 1 for name, value in weights.items()}, tmp_path / "other" / "model.safetensors", {"format": "pt"}
    )
    state = FrozenReader(str(folder)).state_dict()
    FrozenReader(str(folder)).load_state_dict(state)
    with pytest.raises(UsageError, match="other weights"):
        FrozenReader(str(tmp_path / "other")).load_state_dict(state)


def test_what_is_no_encoder_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no config\.json and no model\.safetensors"):
        FrozenReader(str(tmp_path))
    for name, damage, said in (
        ("config.json", b"{}", "not a model's configuration"),
        ("config.json", json.dumps({"model_type": "bert"}).encode(), "'bert'"),
        ("model.safetensors", b"x", "cannot be read"),
        ("tokenizer.json", b"{}", "cannot be read"),
    ):
        place = tmp_path / f"{name}-{len(damage)}"
        shutil.copytree(folder, place)
        (place / name).write_bytes(damage)
        with pytest.raises(UsageError, match=said):
            FrozenReader(str(place))


def test_a_missing_weight_is_no_random_one(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "part")
    weights = load_file(folder / "model.safetensors")
    gone = next(name for name in weights if "layer" in name or "block" in name)
    rest = {name: value for name, value in weights.items() if name != gone}
    save_file(rest, tmp_path / "part" / "model.safetensors", {"format": "pt"})
    with pytest.raises(UsageError, match="among its weights"):
        FrozenReader(str(tmp_path / "part"))


def test_without_the_hub_or_the_library_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ResourceError, match=r"pip install 'triptych\[transformers\]'"):
        FrozenReader("nobody/nothing")


def test_without_the_hub(library: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")

    def closed(*words: Any, **how: Any) -> str:
        raise OSError("the network is closed")

    monkeypatch.setattr(hub, "hf_hub_download", closed)
    with pytest.raises(ResourceError, match=r"no folder.*the network is closed"):
        FrozenReader("nobody/nothing")
