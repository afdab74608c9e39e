"""Models of codes: the prior's probabilities enumerated, samplers against each other, and the two turns."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from triptych import chance
from triptych.chance import Draw
from triptych.core import NOTHING, Batch, Encodes, Scores, Shape, abilities
from triptych.errors import UsageError
from triptych.labels import with_gaps
from triptych.nets.transformer import Transformer
from triptych.pixels import to_float
from triptych.vae.codeprior import CodePrior, by_confidence, gumbel, in_raster_order, one_by_one, schedule, unmask
from triptych.vae.codes import STEP, CodedVae, coded
from triptych.vae.coding import Coding
from triptych.vae.quantisers import FiniteScalarQuantiser, VectorQuantiser

SMALL: Shape = (1, 8, 8)


def prior(masked: bool = False, kinds: int = 2, sides: tuple[int, int] = (1, 3), classes: int = 0) -> CodePrior:
    torch.manual_seed(0)
    net = Transformer(kinds, math.prod(sides), classes, width=8, depth=2, heads=2, causal=not masked)
    return CodePrior(net, sides).eval()


def tiny(shape: Shape = SMALL, scalar: bool = True, classes: int = 0, **values: Any) -> CodedVae:
    torch.manual_seed(0)
    quantiser = FiniteScalarQuantiser((4, 3)) if scalar else VectorQuantiser(8, 3)
    sizes = {"width": 8, "blocks": 1, "core": 4, "prior_width": 8, "depth": 1, "heads": 2, "dropout": 0.0}
    return coded(shape, classes, quantiser, **{**sizes, "conditional": classes > 0, **values}).eval()


def images(count: int, shape: Shape = SMALL) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return to_float(torch.randint(256, (count, *shape), generator=generator, dtype=torch.uint8))


def every_code() -> Tensor:
    """All 8 grids of three places with two kinds."""
    return torch.tensor(list(itertools.product(range(2), repeat=3))).view(8, 1, 3)


@pytest.mark.parametrize("masked", [False, True])
@torch.no_grad()
def test_probabilities_of_all_codes_sum_to_one(masked: bool) -> None:
    assert prior(masked).log_prob(every_code()).exp().sum().item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("masked", [False, True])
@torch.no_grad()
def test_raster_samples_come_as_often_as_they_are_probable(masked: bool) -> None:
    model, number = prior(masked), 4000
    drawn = model.sample(Draw(range(number)), sampler="raster").flatten(1) @ torch.tensor([4, 2, 1])
    shares = torch.bincount(drawn, minlength=8) / number
    wanted = model.log_prob(every_code()).exp()
    assert ((shares - wanted).abs() < 5 * (wanted * (1 - wanted) / number).sqrt()).all()


@torch.no_grad()
def test_one_place_a_step_in_raster_order_is_the_autoregressive_order() -> None:
    """Filling in masks, told to be sequential, draws what the cached causal net draws from the same noise."""
    model = prior(kinds=5, sides=(3, 4))
    noise = gumbel(Draw(range(20)).uniform(12, 6))
    cached = one_by_one(model.net, noise)
    assert torch.equal(unmask(model.net, noise, 12, in_raster_order), cached)
    assert len(cached.unique(dim=0)) > 10


@torch.no_grad()
def test_sequential_masks_follow_the_chain_rule() -> None:
    model = prior(masked=True, kinds=5, sides=(2, 3))
    noise = gumbel(Draw(range(10)).uniform(6, 6))
    codes = torch.full((10, 6), 5)
    for place in range(6):
        codes[:, place] = (model.net(codes)[:, place] + noise[:, place, :-1]).argmax(1)
    assert torch.equal(model.sample(Draw(range(10)), sampler="raster").flatten(1), codes)
    assert torch.equal(unmask(model.net, noise, 6, in_raster_order), codes)


@pytest.mark.parametrize("places", [1, 4, 12, 64])
def test_the_schedule_fills_in_more_at_each_step_and_all_at_last(places: int) -> None:
    for steps in {1, min(3, places), places}:
        known = schedule(places, steps)
        assert len(known) == steps
        assert known[-1] == places
        assert all(b > a for a, b in itertools.pairwise([0, *known]))
    assert schedule(places, places) == list(range(1, places + 1))
    assert schedule(64, 8) == [2, 5, 11, 19, 29, 40, 52, 64]  # 64 (1 - cos(pi t / 16)), rounded up


@torch.no_grad()
def test_what_is_filled_in_stays_and_the_likeliest_come_first() -> None:
    """A net that is surer of later places: the codes that it is shown tell the order."""
    shown = []

    def predict(codes: Tensor) -> Tensor:
        shown.append(codes.clone())
        return torch.arange(4.0).view(1, 4, 1) * torch.tensor([1.0, 0.0])

    assert not unmask(predict, torch.zeros(1, 4, 3), 4, by_confidence).any()
    assert [row[0].tolist() for row in shown] == [[2, 2, 2, 2], [2, 2, 2, 0], [2, 2, 0, 0], [2, 0, 0, 0]]


@pytest.mark.parametrize("values", [{}, {"masked": True}, {"masked": True, "classes": 3}], ids=str)
@torch.no_grad()
def test_an_image_follows_its_seed(values: dict[str, Any]) -> None:
    model = tiny(**values)
    given = {"labels": torch.tensor([0, 1, 2, 0, 1])} if model.classes else NOTHING
    together = model.sample(Draw(range(5)), given)
    alone = [model.sample(Draw([i]), {k: v[i : i + 1] for k, v in given.items()}) for i in range(5)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-5)
    assert not torch.allclose(together[0], together[3])


@torch.no_grad()
def test_temperature_is_the_share_of_chance() -> None:
    model = prior(kinds=5, sides=(2, 2))
    cold = model.sample(Draw(range(30)), temperature=0.0)
    assert len(cold.unique(dim=0)) == 1
    spread = [len(model.sample(Draw(range(30)), temperature=t).unique(dim=0)) for t in (0.3, 1.0)]
    assert 1 < spread[0] < spread[1]
    assert model.log_prob(cold[:1]) >= model.log_prob(model.sample(Draw(range(30)))).max() - 1


def test_the_masked_loss_counts_masked_places_alone() -> None:
    """A net whose logits are the shown tokens' one-hot vectors is right where it sees, and even where it does not."""

    class Copy(nn.Module):
        causal, mask = False, 5

        def forward(self, tokens: Tensor, given: Any) -> Tensor:
            return 50.0 * nn.functional.one_hot(tokens, 6)[..., :5].float()

    model = CodePrior(Copy(), (3, 4))  # type: ignore[arg-type]
    losses = model.loss(torch.randint(5, (40, 3, 4)))
    torch.testing.assert_close(losses, torch.full((40,), math.log(5)))


@torch.no_grad()
def test_the_causal_loss_is_nats_for_each_code() -> None:
    model = prior(kinds=5, sides=(2, 3))
    codes = torch.randint(5, (7, 2, 3))
    torch.testing.assert_close(model.loss(codes), -model.log_prob(codes) / 6)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 13, 37), (4, 24, 16)], ids=str)
@pytest.mark.parametrize("scalar", [True, False])
@torch.no_grad()
def test_shapes_and_abilities(shape: Shape, scalar: bool) -> None:
    model, x, draw = tiny(shape, scalar), images(2, shape), Draw([0, 1])
    assert isinstance(model, Encodes)
    assert isinstance(model, Scores)
    assert abilities(model) == ("sample", "encode", "score")
    assert abilities(tiny(classes=3)) == ("sample", "encode", "score", "conditional")
    z = model.encode(x)
    assert z.shape == (2, *model.latent_shape)
    for pictures in (model.decode(z), model.reconstruct(x), model.sample(draw)):
        assert pictures.shape == x.shape
        assert pictures.abs().max() <= 1
    torch.testing.assert_close(z, model.quantiser.vectors(model.codes(x)))
    likelihood = model.log_likelihood(x, draw)
    assert likelihood.bound
    assert torch.isfinite(likelihood.nats).all()


@torch.no_grad()
def test_the_noise_is_a_lower_bound_of_the_gaussian_s_bins() -> None:
    """Close to the bins' exact probabilities where the deviation spans several of them, and never above."""
    model = tiny()
    x = images(3)
    z = model.encode(x)
    mean = model.decoder(z).double()
    for scale, most in ((0.3, 1e-3), (STEP, math.inf)):
        model.log_scale.fill_(math.log(scale - STEP / 2))
        edges = [(x.double() + side * STEP / 2 - mean) / model.scale().double() for side in (-1, 1)]
        exact = (torch.special.ndtr(edges[1]) - torch.special.ndtr(edges[0])).clamp(min=1e-300).log()
        usable = exact > -300
        bound = -torch.log(model.scale().double()) + math.log(STEP) - 0.5 * math.log(2 * math.pi)
        bound = bound - 0.5 * ((x.double() - mean) ** 2 + STEP**2 / 12) / model.scale().double() ** 2
        torch.testing.assert_close(model.log_noise(x, z), bound.flatten(1).sum(1).float(), rtol=1e-4, atol=1e-2)
        gap = (exact - bound)[usable]
        assert gap.min() > -1e-9
        assert gap.abs().max() < most


@torch.no_grad()
def test_the_score_is_one_term_of_the_sum_over_codes() -> None:
    model, x = tiny((1, 8, 8), core=1), images(2)
    codes = model.codes(x)
    nats = model.log_noise(x, model.encode(x)) + model.prior.log_prob(codes)
    torch.testing.assert_close(model.log_likelihood(x, Draw([0, 1])).nats, nats)
    every = torch.arange(12).view(12, 1, 1)
    assert codes.shape == (2, 1, 1)
    terms = torch.stack(
        [
            model.log_noise(x, model.quantiser.vectors(code.expand(2, 1, 1)))
            + model.prior.log_prob(code.expand(2, 1, 1))
            for code in every[:, None]
        ]
    )  # (K, B)
    assert (terms.logsumexp(0) >= nats).all()


@pytest.mark.parametrize("scalar", [True, False])
@pytest.mark.parametrize("masked", [True, False])
def test_both_turns_learn_and_each_moves_its_own(scalar: bool, masked: bool) -> None:
    model, objective = tiny(scalar=scalar, classes=3, masked=masked).train(), Coding()
    codes, last = objective.turns(model)
    assert (codes.name, last.name) == ("codes", "prior")
    assert {id(p) for p in [*codes.moves, *last.moves]} == {id(p) for p in model.parameters()}
    assert {id(p) for p in last.moves} == {id(p) for p in model.prior.parameters()}
    batch = Batch(images(8), {"labels": torch.arange(8) % 3})
    history: dict[str, list[float]] = {"codes": [], "prior": []}
    for turn, other in ((codes, last), (last, codes)):
        optimiser = torch.optim.Adam(turn.moves, 5e-3)
        for step in range(40):
            chance.reseed(0, step, turn.name)
            losses, stats = turn.loss(batch, step)
            assert losses.shape == (8,)
            assert all(isinstance(value, Tensor) and not value.requires_grad for value in stats.values())
            losses.mean().backward()
            assert all(p.grad is None or not p.grad.any() for p in other.moves)
            optimiser.step()
            optimiser.zero_grad()
            history[turn.name].append(float(losses.detach().mean()))
    for losses_of in history.values():
        assert sum(losses_of[-8:]) < 0.9 * sum(losses_of[:8])


def test_only_the_turn_of_codes_moves_the_book() -> None:
    model = tiny(scalar=False).train()
    codes, last = Coding().turns(model)
    book = model.quantiser.state_dict()["sums"].clone()
    last.loss(Batch(images(4)), 0)
    assert torch.equal(model.quantiser.sums, book)
    codes.loss(Batch(images(4)), 0)
    assert not torch.equal(model.quantiser.sums, book)
    book = model.quantiser.sums.clone()
    model.eval()
    codes.loss(Batch(images(4)), 0)
    assert torch.equal(model.quantiser.sums, book)


def test_labels_hide_at_their_share() -> None:
    given = {"labels": torch.ones(4000, dtype=torch.int64)}
    torch.manual_seed(0)
    hidden = (with_gaps(given, Coding(label_dropout=0.3).label_dropout)["labels"] == -1).double().mean().item()
    assert hidden == pytest.approx(0.3, abs=5 * math.sqrt(0.21 / 4000))
    assert with_gaps(given, Coding(label_dropout=0.0).label_dropout)["labels"].min() == 1
    assert with_gaps(NOTHING, Coding().label_dropout) == NOTHING


@pytest.mark.parametrize(
    ("masked", "how", "says"),
    [
        (False, {"sampler": "rastre"}, "did you mean 'raster'"),
        (False, {"sampler": "confident"}, "masked prior"),
        (False, {"steps": 3}, "16 to 16 steps"),
        (True, {"steps": 17}, "1 to 16 steps"),
        (True, {"steps": 0}, "1 to 16 steps"),
        (True, {"steps": 8, "sampler": "raster"}, "16 to 16 steps"),
        (True, {"temperature": -1.0}, "temperature is -1"),
        (False, {"temperature": math.nan}, "temperature is nan"),
    ],
)
def test_wishes_that_no_prior_grants(masked: bool, how: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        tiny(masked=masked).sample(Draw([0]), **how)


def test_wrong_values_are_named() -> None:
    with pytest.raises(UsageError, match=r"model\.conditional=false"):
        coded(SMALL, 0, FiniteScalarQuantiser(), conditional=True)
    with pytest.raises(UsageError, match="commitment"):
        Coding(commitment=-1.0)
    with pytest.raises(UsageError, match="label_dropout"):
        Coding(label_dropout=2.0)
    with pytest.raises(UsageError, match="Linear"):
        Coding().turns(nn.Linear(1, 1))
    with pytest.raises(UsageError, match="core"):
        tiny(core=0)
