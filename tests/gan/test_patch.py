"""The patch critic: what each logit sees, the mean of them, and small images."""

from __future__ import annotations

import pytest
import torch

from triptych.core import Batch, Shape
from triptych.errors import UsageError
from triptych.gan.mlp import mlp_gan
from triptych.gan.objective import Adversarial
from triptych.gan.patch import patch_critic
from triptych.gan.penalties import r1


@pytest.mark.parametrize(("halvings", "side"), [(0, 7), (1, 16), (2, 34), (3, 70)])
def test_a_logit_sees_one_patch(halvings: int, side: int) -> None:
    """Only the pixels of a window of `side` px move the logit in the middle (Isola et al. 2017, appendix 6.1.2)."""
    torch.manual_seed(0)
    critic = patch_critic((1, 104, 104), width=2, halvings=halvings).double().eval()
    x = torch.rand(1, 1, 104, 104, dtype=torch.float64)
    before = critic.patches(x)[0]
    place = before.shape[0] // 2
    seen = []
    for column in range(104):
        other = x.clone()
        other[..., column] += 1.0
        seen += [column] if critic.patches(other)[0, place, place] != before[place, place] else []
    assert seen == list(range(seen[0], seen[0] + side))


@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 13, 37), (3, 128, 8), (4, 3, 3)], ids=str)
def test_images_of_any_size_get_one_logit(shape: Shape) -> None:
    critic = patch_critic(shape, width=4)
    x = torch.rand(3, *shape)
    logits = critic.eval()(x)
    torch.testing.assert_close(logits, critic.patches(x).flatten(1).mean(1))
    assert logits.shape == (3,)
    assert critic.features(x).shape[0] == 3


def test_it_plays_with_a_penalty() -> None:
    critic = patch_critic((1, 8, 8), width=4, norm=False)
    turns = Adversarial(critic, penalty=r1()).turns(mlp_gan((1, 8, 8), 8, (16,)))
    for turn in turns:
        losses, _ = turn.loss(Batch(torch.rand(4, 1, 8, 8)), 0)
        losses.mean().backward()
        assert all(p.grad is not None for p in turn.moves)


@pytest.mark.parametrize("wrong", [{"width": 0}, {"halvings": -1}, {"image_shape": (3, 2, 64)}], ids=str)
def test_no_such_critic(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="No patch critic"):
        patch_critic(**{"image_shape": (1, 8, 8), **wrong})  # type: ignore[arg-type]
