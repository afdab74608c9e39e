"""The monitors fire where they should, say so once with a cure, and are silent elsewhere."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from triptych.training.ema import Ema
from triptych.training.monitors import SCORE, Log, Monitor, signs
from triptych.training.state import State

CALM = [{"seen": n, "seconds": n, "step/loss": 1.0, "step/held_out": 1.0, SCORE: 9.0} for n in range(20)]
BAD: dict[str, list[dict[str, float]]] = {
    "recognises 100% of all images": [{"critic/accuracy_real": 1.0, "critic/accuracy_fake": 0.995}] * 5,
    "samples of different seeds are alike": [
        {"samples/variety": 0.9},
        {"samples/variety": 0.1},
        {"samples/variety": 0.2},
    ],
    "posterior collapse": [{"bound/active": 3.0}] + [{"bound/active": 0.4}] * 5,
    "averaged weights are 80% of their size away": [{"average/lag": 0.7}, {"average/lag": 0.8}],
    "held-out images rose from 1 to 1.5": [{"step/held_out": 1.0}] * 5 + [{"step/held_out": 1.5}],
    "the step's loss jumped to 50": [{"step/loss": 1.0}] * 12 + [{"step/loss": -50.0}] + [{"step/loss": 1.0}] * 12,
    "FD-bundled fell to 9 and ended at 20": [{SCORE: 9.0}, {SCORE: 10.0}, {SCORE: 20.0}],
}
GOOD: list[Log] = [
    CALM,
    [],
    [{"critic/accuracy_real": 1.0, "critic/accuracy_fake": 0.98}] * 9,  # it still errs
    [{"critic/accuracy_real": 1.0, "critic/accuracy_fake": 1.0}] * 4,  # not for long enough
    [{"samples/variety": 0.1}, {"samples/variety": 0.9}],  # the first grid of a VAE
    [{"bound/active": 0.4}] * 5 + [{"bound/active": 2.0}],
    [{"average/lag": 0.9}, {"average/lag": 0.1}],
    [{"step/held_out": -2.0}] * 5 + [{"step/held_out": -1.0}],  # no ratio of numbers below zero
]


@pytest.mark.parametrize("text", BAD)
def test_each_sign_shows(text: str) -> None:
    (sign,) = signs(BAD[text])
    assert text in sign.text
    assert sign.cure


@pytest.mark.parametrize("log", GOOD)
def test_what_is_well_shows_none(log: Log) -> None:
    assert signs(log) == []


def test_a_sign_is_said_once_and_not_again_after_a_restart() -> None:
    log: list[Any] = []
    said: list[str] = []
    monitor = Monitor(lambda: log, said.append, every=1)
    monitor(State(0, steps=1))
    assert said == []
    log += BAD["posterior collapse"]
    for _ in range(3):
        monitor(State(0, steps=2))
    (sentence,) = said
    assert sentence.startswith("No latent says anything of the images (posterior collapse): lower")
    Monitor(lambda: log, said.append, every=1)(State(0, steps=3))
    assert len(said) == 1


def test_a_monitor_looks_every_so_many_steps() -> None:
    asked = []
    monitor = Monitor(lambda: asked.append(1) or [], lambda text: None, every=10)  # type: ignore[func-returns-value]
    for step in range(1, 31):
        monitor(State(0, steps=step))
    assert len(asked) == 1 + 3


def test_the_lag_is_a_share_of_the_size_of_the_weights() -> None:
    """Weights (3, 4) of size 5, their average (3, 0): 4 apart."""
    model = nn.Linear(2, 1, bias=False)
    model.register_buffer("steps", torch.zeros(()))
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[3.0, 4.0]]))
        ema = Ema(model, 100, 0.05)  # type: ignore[arg-type]
        assert ema.lag() == 0
        ema.model.weight.copy_(torch.tensor([[3.0, 0.0]]))  # type: ignore[operator]
    model.get_buffer("steps").fill_(100.0)
    assert ema.lag() == pytest.approx(0.8)
