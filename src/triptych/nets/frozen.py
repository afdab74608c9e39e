"""Frozen text encoders of the library transformers as readers, with the interface of `reading.ByteReader`.

`clip` is the text side of CLIP (Radford et al. 2021, arXiv:2103.00020), `t5` the encoder of T5 (Raffel et al. 2020,
arXiv:1910.10683), which Saharia et al. (2022, arXiv:2205.11487) found to suit pictures. The encoder is no part of the
model: it is not trained, not averaged and not saved, but read once from its folder; the digest of its weights is saved,
and other weights are refused. Only safetensors and tokenizer.json are read, and never code from the folder.

Notation: B batch, L bytes, T tokens of the longest text, F features of a word; text (B, L) is as in `labels.py`.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from triptych.errors import ResourceError, UsageError, package
from triptych.intake import json_of, text_of

NEEDED = ("config.json", "model.safetensors", "tokenizer.json")
CLASSES = {"clip": "CLIPTextModel", "clip_text_model": "CLIPTextModel", "t5": "T5EncoderModel"}  # by model_type
LONGEST = 128  # tokens, where the encoder has no limit of its own


class Encoder(NamedTuple):
    """What was read from a folder."""

    net: Any  # in eval mode, nothing of it moving
    tokenizer: Any
    digest: bytes  # the SHA-256 of its weights


class FrozenReader(nn.Module):
    """Texts (B, L) to words (B, T, F) and `heard` (B, T): a frozen encoder's tokens through one layer that is trained.

    `encoder` is a folder that transformers has saved, or the name of a model on its hub, which is fetched once. A text
    that is not known has no word. Raises a `UsageError` for a folder without such an encoder, and a `ResourceError`
    where the library is missing or the hub cannot be reached.
    """

    def __init__(self, encoder: str, features: int = 128) -> None:
        super().__init__()
        self.encoder, self.features = encoder, features
        found = opened(encoder)
        self.answer = nn.Linear(found.net.get_input_embeddings().embedding_dim, features)
        self.digest: Tensor
        self.register_buffer("digest", torch.tensor(list(found.digest), dtype=torch.uint8))
        self.register_load_state_dict_post_hook(_same_weights)  # type: ignore[no-untyped-call]

    def forward(self, text: Tensor) -> tuple[Tensor, Tensor]:
        found, known = opened(self.encoder), (text >= 0).any(1)
        texts = [bytes(row[row >= 0].tolist()).decode(errors="replace") for row in text.cpu()]
        tokens = [torch.tensor(one.ids) for one in found.tokenizer.encode_batch(texts)]
        ids = nn.utils.rnn.pad_sequence(tokens, batch_first=True).to(text.device)  # (B, T)
        lengths = torch.tensor([len(row) for row in tokens], device=text.device)
        mask = torch.arange(ids.shape[1], device=text.device) < lengths[:, None]  # (B, T)
        with torch.no_grad():
            net = found.net.to(text.device)
            states = net(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        heard = mask & known[:, None]
        words: Tensor = self.answer(states.to(self.answer.weight.dtype))  # (B, T, F)
        return words * heard[..., None], heard


def _same_weights(reader: Any, keys: Any) -> None:
    """Raise where what was loaded was trained with another encoder."""
    if bytes(reader.digest.tolist()) != opened(reader.encoder).digest:
        raise UsageError(
            f"The text encoder {reader.encoder} has other weights than those that this model was trained with: "
            "bring them back."
        )


@lru_cache(maxsize=2)  # all copies of a model share one
def opened(encoder: str) -> Encoder:
    """The frozen encoder of a folder or of the hub; raises as `FrozenReader` does."""
    library = package("transformers", "A pretrained text encoder", "transformers")
    folder = Path(encoder) if Path(encoder).is_dir() else _fetched(encoder)
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing:
        raise UsageError(f"{folder} has no {' and no '.join(missing)}: name a folder that transformers has saved.")
    try:
        config = json_of(text_of(folder / NEEDED[0]))
        kind = CLASSES.get(config["model_type"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{folder / NEEDED[0]} is not a model's configuration: save the model again.") from error
    if kind is None:
        raise UsageError(f"{folder} holds a model of the type {config['model_type']!r}: name a CLIP or a T5.")
    safely = {"local_files_only": True, "use_safetensors": True, "trust_remote_code": False}
    try:
        net, report = getattr(library, kind).from_pretrained(
            folder, **safely, dtype=torch.float32, output_loading_info=True
        )
        if report["missing_keys"]:  # the library would leave them random
            raise ValueError(f"no {min(report['missing_keys'])} among its weights")
        tokenizer = package("tokenizers", "A pretrained text encoder", "transformers").Tokenizer.from_file(
            str(folder / NEEDED[2])
        )
    except ResourceError:
        raise
    except Exception as error:  # the library for tokenizers raises plain `Exception`
        reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise UsageError(f"The text encoder in {folder} cannot be read ({reason[0]}): save it again.") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(getattr(net.config, "max_position_embeddings", None) or LONGEST)
    with (folder / NEEDED[1]).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
    return Encoder(net.eval().requires_grad_(False), tokenizer, digest)


def _fetched(name: str) -> Path:
    """The folder of a model in the hub's cache; downloaded where it is not there."""
    hub = package("huggingface_hub", "A pretrained text encoder", "transformers")
    for local in (True, False):
        try:
            files = [Path(hub.hf_hub_download(name, file, local_files_only=local)) for file in NEEDED]
            return files[0].parent
        except Exception as error:  # the hub's client raises its own classes and those of its HTTP library
            reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
    raise ResourceError(
        f"{name} is no folder, not in the hub's cache (HF_HOME), and could not be downloaded ({reason[0]}): "
        f"go online once, or name a folder with {', '.join(NEEDED)}."
    )
