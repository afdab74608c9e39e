"""Operations, counted: against the arithmetic of small networks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from tiny import TINY
from triptych import flops, recipe, schema
from triptych.chance import Draw
from triptych.core import NOTHING, Given, Model
from triptych.data import open_data
from triptych.errors import UsageError
from triptych.flops import Course
from triptych.nets.known import attention
from triptych.quantities import operations
from triptych.run import Budget
from triptych.sampling import generate
from triptych.training.state import State


class Linear(Model):
    """One product of a (10, 12) matrix with each latent."""

    def __init__(self) -> None:
        super().__init__()
        self.image_shape, self.latent_shape, self.classes = (1, 3, 4), (10,), 0
        self.net = nn.Linear(10, 12, bias=False)

    def decode(self, z: Tensor, given: Given = NOTHING) -> Tensor:
        images: Tensor = self.net(z).unflatten(1, (1, 3, 4))
        return images

    def sample(self, draw: Draw, given: Given = NOTHING) -> Tensor:
        return self.decode(draw.normal(10))


def test_sampling_is_two_operations_for_each_weight() -> None:
    assert flops.of_sampling(Linear()) == 2 * 10 * 12


def tree(changes: list[str]) -> dict[str, Any]:
    source = open_data("digits").train
    data = {"image_shape": list(source.image_shape), "class_names": list(source.class_names)}
    made = schema.complete(recipe.read("mlp-gan", "digits", None, tuple(changes)))
    return {"name": "mlp-gan", "seed": 0, **made, "data": data}


def test_training_counts_forward_and_backward() -> None:
    """A critic's step asks it twice and the generator once; a generator's step asks both once, with gradients."""
    splits = open_data("digits")
    (small,) = flops.of_training(tree(TINY["mlp-gan"]), splits).each
    (again,) = flops.of_training(tree([*TINY["mlp-gan"], "batch=32"]), splits).each
    assert small == pytest.approx(again)  # for each image, whatever the batch
    run = tree(TINY["mlp-gan"])
    weights = {role: _weights(run[part][role] if role else run[part], run, kind)
               for kind, part, role in (("model", "model", ""), ("critic", "objective", "critic"))}  # fmt: skip
    generator, critic = weights[""], weights["critic"]
    critic_turn = 2 * generator + 2 * (2 + 4) * critic  # real and generated: forward 2, backward 4 a weight
    generator_turn = 2 * 3 * generator + 2 * 2 * critic  # its gradients pass through the critic, which stands still
    assert small == pytest.approx(critic_turn + generator_turn, rel=0.15)  # first layers need no gradient of the image


@pytest.mark.parametrize("name", recipe.names())
def test_every_model_is_counted(name: str) -> None:
    """Gradients inside of a loss too; and sampling as PyTorch's own counter finds it."""
    splits = open_data("digits")
    source = splits.train
    data = {"image_shape": list(source.image_shape), "class_names": list(source.class_names)}
    made = {
        "name": name,
        "seed": 0,
        **schema.complete(recipe.read(name, "digits", None, tuple(TINY[name]))),
        "data": data,
    }
    assert min(flops.of_training(made, splits).each) > 0
    model: Model = schema.build("model", made["model"], {"image_shape": source.image_shape, "classes": 10}).eval()
    model.requires_grad_(False)
    with FlopCounterMode(display=False) as counter:
        for _ in generate(model, range(2)):
            pass
    assert flops.of_sampling(model) == counter.get_total_flops() / 2


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])  # which attend in two ways
def test_attention_is_counted(precision: torch.dtype) -> None:
    """Two products of (6, 8) with (8, 6) matrices for each of 2 x 3 heads; a slope takes twice as many, or one more."""
    x = torch.randn(2, 3, 6, 8, dtype=precision, requires_grad=True)
    with flops.Counter() as forward:
        answer = attention(x, x, x)
    with flops.Counter() as backward:
        answer.sum().backward()
    product = 2 * 6 * 6 * 6 * 8
    assert forward.total == 2 * product
    assert backward.total in (4 * product, 5 * product)


def test_lazy_penalties_have_their_share() -> None:
    """A penalty taken at every second step costs half as much as one taken at each."""
    splits = open_data("digits")
    none, each, second = (
        flops.of_training(tree([*TINY["mlp-gan"], f"objective.penalty={penalty}"]), splits).mean(1)
        for penalty in ("null", "r1", "{kind: r1, every: 2}")
    )
    assert each > none
    assert second == pytest.approx((none + each) / 2)


def _weights(node: Any, run: dict[str, Any], role: str) -> int:
    facts = {"image_shape": tuple(run["data"]["image_shape"]), "classes": 10}
    net = schema.build(role, node, facts)
    return sum(p.numel() for p in net.parameters() if p.ndim == 2)


def test_a_budget_of_operations_is_one_of_images() -> None:
    course = Course((0,), (100.0,))
    budget = Budget.of(None, None, "3k").in_images(course.images)
    assert budget == Budget(30, None)
    assert Budget.of(20, None, "3k").in_images(course.images).images == 20
    assert budget.share(State(0, seen=15)) == 0.5
    assert Budget(100, None).in_images(lambda flops: pytest.fail("nothing is to be counted")).images == 100


def test_turns_that_end_change_the_cost() -> None:
    course = Course((0, 10), (5.0, 2.0))
    assert (course.mean(10), course.mean(20), course.mean(4)) == (5.0, 3.5, 5.0)
    assert (course.images(25.0), course.images(50.0), course.images(60.0), course.images(0.1)) == (5, 10, 15, 1)


@pytest.mark.parametrize(("text", "number"), [("1e15", 1e15), ("2.5P", 2.5e15), ("300T", 3e14), (7.5, 7.5)])
def test_operations(text: float | str, number: float) -> None:
    assert operations(text, "--flops") == number


@pytest.mark.parametrize("text", ["", "many", "-1", "0", "1e", "5X", "inf", "nan"])
def test_no_operations(text: str) -> None:
    with pytest.raises(UsageError, match="--flops"):
        operations(text, "--flops")
