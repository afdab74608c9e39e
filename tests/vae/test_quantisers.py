"""Quantisers: gradients straight through, books in closed form, and chance that follows from a key."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from triptych import chance
from triptych.errors import UsageError
from triptych.vae.quantisers import BaseQuantiser, FiniteScalarQuantiser, VectorQuantiser, perplexity


def encodings(features: int, seed: int = 0, images: int = 3) -> Tensor:
    return torch.randn(images, features, 4, 5, generator=torch.Generator().manual_seed(seed))


def vector(codes: int = 6, features: int = 4, **values: float) -> VectorQuantiser:
    """A quantiser whose book has met one batch."""
    quantiser = VectorQuantiser(codes, features, **values)
    chance.reseed(0, "book")
    z = encodings(features)
    quantiser.follow(z, quantiser(z).codes)
    return quantiser


QUANTISERS = [vector(), FiniteScalarQuantiser((4, 5, 2, 3))]
both = pytest.mark.parametrize("quantiser", QUANTISERS, ids=["vector", "finite-scalar"])


@both
def test_codes_and_vectors_are_one_another(quantiser: BaseQuantiser) -> None:
    z = 3 * encodings(4, seed=1)
    vectors, codes, commitment = quantiser(z)
    assert vectors.shape == z.shape
    assert codes.shape == (3, 4, 5)
    assert codes.dtype == torch.int64
    assert commitment.shape == (3,)
    torch.testing.assert_close(quantiser.vectors(codes), vectors)
    every = torch.arange(quantiser.codes).view(1, 1, -1)
    book = quantiser.vectors(every)[0, :, 0].T  # (K, D)
    assert len(book.unique(dim=0)) == quantiser.codes


def test_the_nearest_vector_is_chosen() -> None:
    quantiser, z = vector(), encodings(4, seed=1)
    rows = z.movedim(1, -1).reshape(-1, 1, 4)
    nearest = (rows - quantiser.book()).square().sum(2).argmin(1)
    assert torch.equal(quantiser(z).codes.flatten(), nearest)


def test_gradients_pass_straight_through_the_book() -> None:
    quantiser, weights = vector(), encodings(4, seed=2)
    z = encodings(4, seed=1).requires_grad_()
    (slope,) = torch.autograd.grad((quantiser(z).vectors * weights).sum(), z)
    assert torch.equal(slope, weights)
    chosen = quantiser.vectors(quantiser(z).codes)
    (slope,) = torch.autograd.grad(quantiser(z).commitment.sum(), z)
    torch.testing.assert_close(slope, 2 * (z - chosen).detach() / z[0].numel())


def test_gradients_pass_straight_through_the_rounding() -> None:
    quantiser, weights = FiniteScalarQuantiser((4, 5, 2, 3)), encodings(4, seed=2)
    z = encodings(4, seed=1).requires_grad_()
    vectors, _, commitment = quantiser(z)
    (slope,) = torch.autograd.grad((vectors * weights).sum(), z)
    torch.testing.assert_close(slope, weights * (1 - z.detach().tanh() ** 2), rtol=1e-6, atol=1e-7)
    assert not commitment.any()


def test_levels_are_even_steps_and_all_are_reached() -> None:
    z = torch.linspace(-9, 9, 2001).view(1, 1, 1, -1).expand(1, 2, 1, -1)
    vectors, codes, _ = FiniteScalarQuantiser((4, 5))(z)
    torch.testing.assert_close(vectors[0, 0].unique(), torch.linspace(-1, 1, 4))
    torch.testing.assert_close(vectors[0, 1].unique(), torch.linspace(-1, 1, 5))
    assert ((vectors - z.tanh()).abs().amax((0, 2, 3)) <= torch.tensor([1 / 3, 1 / 4]) + 1e-6).all()
    assert (codes.min(), codes.max()) == (0, 19)


def test_the_book_is_the_average_of_what_chose_it() -> None:
    """Equations 6 to 8 of the paper by hand, for one step."""
    quantiser, z = vector(decay=0.75, revive=0.0), encodings(4, seed=3)
    counts, sums, codes = quantiser.counts.clone(), quantiser.sums.clone(), quantiser(z).codes
    quantiser.follow(z, codes)
    rows, chosen = z.movedim(1, -1).reshape(-1, 4), codes.flatten()
    for code in range(6):
        mine = rows[chosen == code]
        count = 0.75 * counts[code] + 0.25 * len(mine)
        total = 0.75 * sums[code] + 0.25 * mine.sum(0)
        torch.testing.assert_close(quantiser.book()[code], total / count)


def test_the_first_step_and_dead_codes_start_at_encodings() -> None:
    quantiser, z = vector(revive=0.5), encodings(4)
    rows = z.movedim(1, -1).reshape(-1, 4)
    assert (torch.cdist(quantiser.book(), rows).min(1).values < 1e-5).all()
    far, near = quantiser.book()[0].clone(), encodings(4, seed=5)
    quantiser.counts[0], quantiser.sums[0] = 1e-6, 1e-6 * (far + 100)
    twins = []
    for _ in range(2):
        twin = VectorQuantiser(6, 4, revive=0.5)
        twin.load_state_dict(quantiser.state_dict())
        chance.reseed(0, 1, "codes")
        twin.follow(near, twin(near).codes)
        twins.append(twin)
    new = twins[0].book()[0]
    assert (near.movedim(1, -1).reshape(-1, 4) - new).norm(dim=1).min() < 1e-5
    assert torch.equal(twins[0].sums, twins[1].sums)
    assert torch.equal(twins[0].counts, twins[1].counts)


def test_nothing_moves_in_eval_mode_nor_in_quantising() -> None:
    quantiser, z = vector(), encodings(4, seed=4)
    before = {name: t.clone() for name, t in quantiser.state_dict().items()}
    quantiser(z)
    quantiser.eval().follow(z, quantiser(z).codes)
    assert set(before) == {"counts", "sums"}
    assert all(torch.equal(t, before[name]) for name, t in quantiser.state_dict().items())
    quantiser.train().follow(z, quantiser(z).codes)
    assert not torch.equal(quantiser.sums, before["sums"])


def test_a_collapsed_book_revives() -> None:
    """All codes begin at one place, away from eight clusters; without revival most of them stay there."""
    generator = torch.Generator().manual_seed(0)
    centres = 4 * torch.randn(8, 3, generator=generator)
    left, use = {}, {}
    for revive in (0.0, 0.1):
        quantiser = VectorQuantiser(16, 3, decay=0.8, revive=revive)
        quantiser.counts.fill_(16.0)
        for step in range(60):
            rows = centres[torch.randint(8, (256,), generator=generator)]
            z = (rows + 0.05 * torch.randn(rows.shape, generator=generator)).T.reshape(1, 3, 16, 16)
            chance.reseed(0, step)
            quantiser.follow(z, quantiser(z).codes)
        left[revive], use[revive] = quantiser(z).commitment.item(), perplexity(quantiser(z).codes, 16).item()
    assert use[0.0] < 4 < 5 < use[0.1]
    assert left[0.1] < 0.2 * left[0.0]


def test_perplexity_of_even_and_of_collapsed_codes() -> None:
    assert perplexity(torch.arange(8).repeat(5), 8).item() == pytest.approx(8)
    assert perplexity(torch.zeros(5, dtype=torch.int64), 8).item() == pytest.approx(1)


@pytest.mark.parametrize("wrong", [{"codes": 1}, {"features": 0}, {"decay": 1.0}, {"revive": -0.1}], ids=str)
def test_books_that_there_are_not(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        VectorQuantiser(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("levels", [(), (1, 4)])
def test_levels_that_there_are_not(levels: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="levels"):
        FiniteScalarQuantiser(levels)
