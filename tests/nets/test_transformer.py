"""The transformer: what each answer may depend on, with and without the cache."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from triptych.core import NOTHING, Given
from triptych.errors import UsageError
from triptych.nets.transformer import Transformer

KINDS, PLACES = 7, 9


def net(causal: bool = True, classes: int = 3) -> Transformer:
    torch.manual_seed(0)
    return Transformer(KINDS, PLACES, classes, width=16, depth=3, heads=2, dropout=0.2, causal=causal).eval()


def tokens(images: int = 4) -> Tensor:
    return torch.randint(KINDS, (images, PLACES), generator=torch.Generator().manual_seed(1))


def labels(*of: int) -> Given:
    return {"labels": torch.tensor(of)}


@pytest.mark.parametrize("given", [NOTHING, labels(0, 1, 2, -1)], ids=["nothing", "labels"])
@torch.no_grad()
def test_the_cache_changes_no_logit(given: Given) -> None:
    model, shown = net(), tokens()
    whole = model(shown, given)  # (B, T, K)
    logits, cache = model.begin(4, given)
    stepwise = [logits]
    for place in range(PLACES - 1):
        logits, cache = model.follow(shown[:, place], cache)
        stepwise.append(logits)
    torch.testing.assert_close(torch.stack(stepwise, 1), whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize("place", range(PLACES))
@torch.no_grad()
def test_a_causal_answer_hears_earlier_tokens_only(place: int) -> None:
    model, shown = net(), tokens()
    other = shown.clone()
    other[:, place] = (other[:, place] + 1) % KINDS
    before, after = model(shown), model(other)
    assert torch.equal(before[:, : place + 1], after[:, : place + 1])
    changed = (before != after).any(2).any(0)
    assert changed[place + 1 :].all()


@torch.no_grad()
def test_the_other_kind_hears_every_token_and_the_mask() -> None:
    model, shown = net(causal=False), tokens(1)
    for place in (0, PLACES - 1):
        other = shown.clone()
        other[:, place] = model.mask
        assert (model(shown) != model(other)).any(2).all()
    assert model(shown).shape == (1, PLACES, KINDS)


@pytest.mark.parametrize("causal", [True, False])
@torch.no_grad()
def test_classes_are_heard_at_every_place_and_minus_one_is_not_known(causal: bool) -> None:
    model, shown = net(causal), tokens(1)
    answers = [model(shown, labels(label)) for label in (-1, 0, 1, 2)]
    for i in range(4):
        assert all((answers[i] != answers[j]).any(2).all() for j in range(i))
    assert torch.equal(model(shown), answers[0])
    plain = net(causal, classes=0)
    assert torch.equal(plain(shown, labels(2)), plain(shown))


def test_dropout_is_of_training_alone() -> None:
    model, shown = net(), tokens()
    assert torch.equal(model(shown), model(shown))
    model.train()
    assert not torch.equal(model(shown), model(shown))


@pytest.mark.parametrize("wrong", [{"width": 15}, {"heads": 0}, {"depth": 0}, {"dropout": 1.0}], ids=str)
def test_wrong_sizes_are_named(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Transformer(KINDS, PLACES, **{"heads": 2, **wrong})  # type: ignore[arg-type]
