"""Randomness follows from keys."""

from __future__ import annotations

import math

import pytest
import torch

from triptych.chance import Draw, generator, kept, key, reseed


def test_key_depends_on_every_part_and_their_order() -> None:
    keys = {key(1, 2), key(2, 1), key(12), key("1", 2), key(1, 2, ""), key("1\x1f2"), key(-1, 2)}
    assert len(keys) == 7
    assert all(0 <= k < 2**63 for k in keys)


def test_a_key_is_the_same_in_every_process_and_version() -> None:
    assert key(0, 0, "critic") == 5298882756902750434
    assert generator(3, "x").initial_seed() == key(3, "x")


def test_an_image_follows_its_own_seed() -> None:
    alone, crowd = Draw([5]), Draw([1, 2, 3, 4, 5])
    assert torch.equal(alone.normal(3, 7, 5)[0], crowd.normal(3, 7, 5)[4])
    assert torch.equal(alone.integers(10, 2)[0], crowd.integers(10, 2)[4])
    assert torch.equal(alone.uniform(15)[0], crowd.uniform(15)[4])
    assert not torch.equal(alone.normal(4), alone.normal(4))


def test_noise_is_drawn_in_float32_whatever_the_default_is() -> None:
    """The same seed in float64 gives other numbers altogether."""
    there = Draw([5]).normal(300), Draw([5]).uniform(300)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        here = Draw([5]).normal(300), Draw([5]).uniform(300)
    finally:
        torch.set_default_dtype(before)
    assert all(torch.equal(one, other) for one, other in zip(here, there, strict=True))


def test_draws_have_their_distributions() -> None:
    draw = Draw(range(4000))
    noise, even, whole = draw.normal(16), draw.uniform(16), draw.integers(10, 16)
    n = noise.numel()
    assert abs(noise.mean()) < 5 / n**0.5
    assert abs(noise.var() - 1) < 5 * (2 / n) ** 0.5
    assert abs(even.mean() - 0.5) < 5 * (1 / 12 / n) ** 0.5
    assert set(whole.unique().tolist()) == set(range(10))


def test_reseed_replays() -> None:
    reseed(1, 64, "critic")
    first = torch.randn(8)
    reseed(1, 64, "generator")
    other = torch.randn(8)
    reseed(1, 64, "critic")
    assert torch.equal(first, torch.randn(8))
    assert not torch.equal(first, other)


def test_noise_of_a_turn_follows_its_key() -> None:
    reseed(1, 64, "critic")
    draw = Draw.of_turn(8, "cpu")
    first = (draw.normal(3), draw.uniform(2), draw.integers(5))
    reseed(1, 64, "critic")
    assert len(draw) == 8
    assert torch.equal(first[0], torch.randn(8, 3))
    assert torch.equal(first[1], torch.rand(8, 2))
    assert torch.equal(first[2], torch.randint(5, (8,)))


@pytest.mark.parametrize("p", [0.1, 0.5, 0.87])
def test_values_are_kept_with_their_probability(p: float) -> None:
    """Each by itself, wherever it lies in the 64 bits that four of them share; what is kept makes up for the rest."""
    reseed(2)
    found = kept(torch.zeros(100, 10, 8, 8).contiguous(memory_format=torch.channels_last), p)
    stays = found > 0
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert found.unique().tolist() == pytest.approx([0, 1 / (1 - p)])
    flat = stays.permute(0, 2, 3, 1).reshape(-1, 4).double()
    assert flat.mean(0).sub(1 - p).abs().max() < 4 * math.sqrt(p * (1 - p) / len(flat))
    together = (flat - (1 - p)).T @ (flat - (1 - p)) / len(flat) / (p * (1 - p))
    torch.testing.assert_close(together, torch.eye(4, dtype=torch.float64), rtol=0, atol=4 / math.sqrt(len(flat)) * 2)


def test_what_is_kept_follows_the_key() -> None:
    x = torch.zeros(3, 5)
    found = [(reseed(seed), kept(x, 0.5))[1] for seed in (1, 2, 1)]
    assert torch.equal(found[0], found[2])
    assert not torch.equal(found[0], found[1])
