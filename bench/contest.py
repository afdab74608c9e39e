"""Two sides do the same work in turn, in one run: which is faster, by how much, and how near to the machine's limit.

Each side is a process (`work.py`) that waits while the other works. A round is a few seconds of the one and as many of
the other; each round gives a ratio, and the median of the rounds is told with the lowest and the highest.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from typing import Any, NamedTuple

import torch

from bench.limits import Limits, line, measured
from bench.peers import Child
from bench.work import CLOCKS
from triptych import machine

OURS = "triptych"
ALIKE = 0.02  # parameters and operations of two sides may differ by this share


class Spread(NamedTuple):
    """A median, and the lowest and highest of what it is the median of."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))


class Row(NamedTuple):
    """One side's figures."""

    name: str
    told: Mapping[str, Any]  # what the side says of itself
    rate: Spread  # images/s
    share: float | None = None  # of the machine's limit
    ratio: Spread | None = None  # how many times as fast ours is; None for ours
    goal: float | None = None


def unlike(ours: Mapping[str, Any], theirs: Mapping[str, Any], within: float = ALIKE) -> list[str]:
    """What of the work of two sides differs by more than a share: "flops", "parameters", "value"."""
    pairs = {name: (ours[name] or 0, theirs[name] or 0) for name in ("parameters", "flops", "value")}
    pairs["flops"] = (pairs["flops"][0] / ours["images"], pairs["flops"][1] / theirs["images"])
    return [name for name, (a, b) in pairs.items() if abs(a - b) > within * max(abs(a), abs(b))]


def rounds(children: Sequence[Child], number: int, seconds: float) -> dict[str, list[float]]:
    """Images a second of each side in each round; the sides take turns."""
    times = {child.side: max(1, round(seconds / _warm(child))) for child in children}
    rates: dict[str, list[float]] = {child.side: [] for child in children}
    for _ in range(number):
        for child in children:
            spent = child.seconds(times[child.side])
            rates[child.side].append(times[child.side] * child.told["images"] / spent)
    return rates


def _warm(child: Child) -> float:
    child.seconds(1)
    return child.seconds(1)


def rows(
    told: Mapping[str, Mapping[str, Any]],
    rates: Mapping[str, Sequence[float]],
    goals: Mapping[str, float],
    limits: Limits,
) -> list[Row]:
    """The figures of all sides, ours first."""
    found = []
    for name, own in rates.items():
        rate, says = Spread.of(own), told[name]
        share = limits.share(says["images"] / rate.median, says["flops"], says["moved"], says["how"])
        ratio = Spread.of([a / b for a, b in zip(rates[OURS], own, strict=True)])
        found.append(Row(name, says, rate, share, None if name == OURS else ratio, goals.get(name)))
    return found


def table(found: Sequence[Row]) -> str:
    """The rows as aligned text."""
    lines = [
        f"{'side':30}{'version':>10}{'parameters':>13}{'MFLOP/image':>13}{'images/s':>12}{'of the limit':>14}"
        f"{'ratio':>8}{'goal':>6}  how"
    ]
    for row in found:
        says, ratio = row.told, row.ratio
        flops = says["flops"] / says["images"] / 1e6
        share = "" if row.share is None else f"{row.share:.0%}"
        figures = f"{says['parameters']:13,}{flops:13,.1f}{row.rate.median:12,.2f}{share:>14}"
        gained = "" if ratio is None else f"{ratio.median:.2f}"
        goal = "" if row.goal is None else f"{row.goal:g}"
        spread = f"{row.rate.low:,.2f} to {row.rate.high:,.2f}"
        spread += "" if ratio is None else f", ratio {ratio.low:.2f} to {ratio.high:.2f}"
        lines.append(f"{row.name:30}{says['version']:>10}{figures}{gained:>8}{goal:>6}  {says['how']} ({spread})")
    return "\n".join(lines)


def compete(module: str, goals: Mapping[str, float], **settings: Any) -> None:
    """Run triptych against each side of `goals`, functions of `bench.MODULE`; `settings` are the flags' defaults."""
    address = f"bench.{module}"
    about = (importlib.import_module(address).__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog=address, description=about)
    for name, value in settings.items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    parser.add_argument("--against", nargs="+", default=list(goals), choices=list(goals), help="which peers")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each side in each round")
    parser.add_argument("--threads", type=int, default=machine.cores())
    parser.add_argument("--clock", default="wall", choices=list(CLOCKS), help="processor: on a busy machine")
    asked = vars(parser.parse_args())
    stated = (
        goals if all(asked[name] == value for name, value in settings.items()) else {}
    )  # goals are for the defaults
    against, number, seconds = (asked.pop(name) for name in ("against", "rounds", "seconds"))
    torch.set_num_threads(asked["threads"])
    limits = measured(asked.get("device", "cpu"), asked["clock"])
    with ExitStack() as stack:
        children = [stack.enter_context(closing(Child(address, side, asked))) for side in (OURS, *against)]
        rates = rounds(children, number, seconds)
    told = {child.side: child.told for child in children}
    print(f"{about}\n{machine.describe(asked.get('device', 'cpu'))}, {asked['threads']} threads, {asked['clock']} time")
    print(line(limits))
    print(table(rows(told, rates, stated, limits)))
    for side in against:
        for what in unlike(told[OURS], told[side]):
            print(f"{side} does not do the same work: its {what} differ by more than {ALIKE:.0%}")
