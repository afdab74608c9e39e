"""Signs of trouble in the log of a run: each a sentence with the usual cure, said once while it trains.

Bounds are such that none of the catalogue's recipes fires on digits, CIFAR-10 or emoji when it trains well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from triptych.training.state import State
from triptych.words import short

SURE = 0.99  # the shares of real and of generated images that a saturated critic recognises
ALIKE = 0.3  # the variety of a collapsed grid, as a share of that of real images
LAG = 0.5  # the distance of the averaged weights from those that are trained, as a share of their size
RUNNING = 5  # lines in a row
BY_HEART = 1.2  # the last held-out loss against its lowest, both above zero
JUMP = 20.0  # a loss against the median of its log
SCORE = "score/FD-bundled"
RELAPSE = 1.5  # the last score against the best one

Log = Sequence[Mapping[str, float]]


class Sign(NamedTuple):
    """What is wrong, of which number, and what usually helps."""

    of: str
    text: str
    cure: str


def signs(log: Log) -> list[Sign]:
    """All that a log shows at its end."""
    return [sign for rule in RULES for sign in rule(log)]


class Monitor:
    """A chore: says each sign once, with its cure, when it first shows."""

    def __init__(self, read: Callable[[], Log], say: Callable[[str], None], every: int = 500) -> None:
        self._read, self._say, self._every = read, say, every
        self._said = {sign.of for sign in signs(read())}  # by the start before this one

    def __call__(self, state: State) -> None:
        if state.steps % self._every:
            return
        for sign in signs(self._read()):
            if sign.of not in self._said:
                self._said.add(sign.of)
                self._say(f"{sign.text[0].upper()}{sign.text[1:]}: {sign.cure}.")


def columns(log: Log, end: str) -> Iterator[tuple[str, list[float]]]:
    """For each name that ends so, what comes before, and its values in order."""
    for name in dict.fromkeys(key for line in log for key in line if key.endswith(end)):
        yield name.removesuffix(end), [line[name] for line in log if name in line]


def saturated(log: Log) -> Iterator[Sign]:
    """The critic tells nearly all images apart: little is left for the generator to learn from."""
    for turn, real in columns(log, "/accuracy_real"):
        fake = [line[f"{turn}/accuracy_fake"] for line in log if f"{turn}/accuracy_fake" in line]
        last = [*real[-RUNNING:], *fake[-RUNNING:]]
        if turn and len(last) == 2 * RUNNING and min(last) > SURE:
            yield Sign(
                turn,
                f"the {turn} recognises {100 * min(last):.0f}% of all images, real and generated",
                "it has won; give it a penalty (--set objective.penalty=r1), a lower rate, "
                "or images that change (--set objective.augment=ada)",
            )


def collapsed(log: Log) -> Iterator[Sign]:
    """Samples of different seeds look alike."""
    for _, values in columns(log, "samples/variety"):
        if len(values) > 1 and max(values[-2:]) < ALIKE:
            yield Sign(
                "samples",
                f"samples of different seeds are alike: they vary {short(values[-1])} times as much as real images",
                "if they were varied before, training has collapsed: take another game or a penalty "
                "(--set objective.penalty=r1); else train for longer",
            )


def inactive(log: Log) -> Iterator[Sign]:
    """The posterior is the prior: latents say nothing of the images (Burda et al. 2016, arXiv:1509.00519)."""
    for turn, values in columns(log, "/active"):
        if len(values) > RUNNING and max(values[-RUNNING:]) < 1:
            yield Sign(
                f"{turn}/active",
                "no latent says anything of the images (posterior collapse)",
                "lower the price of latents (--set objective.beta=0.1), or leave each some nats for nothing "
                "(--set objective.free_bits=0.1)",
            )


def lagging(log: Log) -> Iterator[Sign]:
    """What is sampled is far behind what is trained."""
    for _, values in columns(log, "average/lag"):
        if len(values) > 1 and min(values[-2:]) > LAG:
            yield Sign(
                "average",
                f"the averaged weights are {100 * values[-1]:.0f}% of their size away from those that are trained",
                "what you see is old or the rate is too high; give a shorter ema.half_life or a rate that falls",
            )


def by_heart(log: Log) -> Iterator[Sign]:
    """The loss rises on images that are not trained on."""
    for turn, values in columns(log, "/held_out"):
        if len(values) > 4 and 0 < BY_HEART * min(values) < values[-1]:
            yield Sign(
                f"{turn}/held_out",
                f"the {turn}'s loss on held-out images rose from {short(min(values))} to {short(values[-1])}",
                "it learns by heart; stop here, give more images, or augment (--set augment.flip=true)",
            )


def jumped(log: Log) -> Iterator[Sign]:
    """A loss was far outside of what it used to be."""
    for turn, values in columns(log, "/loss"):
        settled = sorted(abs(value) for value in values[len(values) // 10 :])
        if len(settled) > 10 and settled[-1] > JUMP * max(settled[len(settled) // 2], 1e-6):
            yield Sign(
                f"{turn}/loss",
                f"the {turn}'s loss jumped to {short(settled[-1])}",
                f"lower its rate or clip its gradients (--set optimisers.{turn}.clip=1)",
            )


def relapsed(log: Log) -> Iterator[Sign]:
    """The score was better before."""
    for _, values in columns(log, SCORE):
        if len(values) > 2 and values[-1] > RELAPSE * min(values):
            yield Sign(
                SCORE,
                f"it got worse again: FD-bundled fell to {short(min(values))} and ended at {short(values[-1])}",
                "the best weights are kept in best/ of the run",
            )


RULES: tuple[Callable[[Log], Iterator[Sign]], ...] = (
    saturated,
    collapsed,
    inactive,
    lagging,
    by_heart,
    jumped,
    relapsed,
)
