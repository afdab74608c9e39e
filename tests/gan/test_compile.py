"""Networks of the family through `torch.compile`: the same images, logits and slopes as without it."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
import torch
from torch import nn

from tiny import TINY
from triptych import chance, recipe, schema

NAMES = [name for name in recipe.names() if recipe.about(name).family == "gan"]
FACTS = {"image_shape": (3, 16, 16), "classes": 0}
COMPILED = [
    "aot_eager",
    pytest.param(
        "inductor", marks=[pytest.mark.slow, pytest.mark.skipif(not shutil.which("g++"), reason="no C++ compiler")]
    ),
]


def slopes(net: nn.Module, call: Any, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """What `call` makes of x, and the gradients of its mean square in all weights that it uses."""
    y = call(x)
    found = torch.autograd.grad(y.square().mean(), list(net.parameters()), allow_unused=True)
    return y, [slope for slope in found if slope is not None]


@pytest.mark.filterwarnings("ignore")  # of the compiler's own parts
@pytest.mark.parametrize("backend", COMPILED)
@pytest.mark.parametrize("name", NAMES)
def test_compiled_and_eager_agree(name: str, backend: str) -> None:
    torch._dynamo.reset()
    tree = schema.complete(recipe.read(name, "images", None, tuple(TINY[name])))
    chance.reseed(0)
    model = schema.build("model", tree["model"], FACTS).eval()
    critic = schema.build("objective", tree["objective"], FACTS).critic.eval()
    z, x = torch.randn(4, *model.latent_shape), torch.rand(4, 3, 16, 16) * 2 - 1
    for net, given in ((model.net, model.style(z).detach()), (critic, x)):
        (plain, expected), (made, found) = (
            slopes(net, call, given) for call in (net, torch.compile(net, backend=backend))
        )
        torch.testing.assert_close(made, plain, rtol=1e-4, atol=1e-5)
        assert len(found) == len(expected) > 0
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)
