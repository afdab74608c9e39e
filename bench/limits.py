"""What this machine can do at most: products of matrices, and bytes through memory.

    python -m bench.limits [--threads 2] [--device cpu] [--clock wall]

product    GFLOP/s of square matrices (a multiply-add is two), in float32 and in bfloat16
bandwidth  GB/s of a copy that no cache holds, read and written
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from typing import NamedTuple

import torch

from bench.work import CLOCKS, timed

SIDE = {"cpu": 1536, "cuda": 8192}  # of the matrices
BYTES = 2**28  # that are copied: more than caches hold


class Limits(NamedTuple):
    """The most that was seen."""

    product: dict[str, float]  # FLOP/s by precision
    bandwidth: float  # bytes/s

    def share(self, seconds: float, flops: float, moved: float, how: str) -> float | None:
        """The least seconds that the work could take, over those that it took; None where its size is not known."""
        least = max(flops / self.product["bfloat16" if "bfloat16" in how else "float32"], moved / self.bandwidth)
        return least / seconds if least else None


def measured(device: str = "cpu", clock: str = "wall", times: int = 7) -> Limits:
    """This machine's limits with as many threads as torch has now: the median of a few calls after a warm-up."""

    def best(once: Callable[[], object]) -> float:
        once()
        return statistics.median(timed(once, 1, clock) for _ in range(times))

    side, product = SIDE[torch.device(device).type], {}
    for kind in (torch.float32, torch.bfloat16):
        a, b = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
        out = torch.empty_like(a)
        product[str(kind).removeprefix("torch.")] = (
            2 * side**3 / best(lambda a=a, b=b, out=out: torch.mm(a, b, out=out))
        )
    source = torch.ones(BYTES, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return Limits(product, 2 * BYTES / best(lambda: target.copy_(source)))


def line(limits: Limits) -> str:
    """The limits as a sentence."""
    products = ", ".join(f"{rate / 1e9:,.0f} GFLOP/s in {kind}" for kind, rate in limits.product.items())
    return f"the machine's limits: {products}; {limits.bandwidth / 1e9:.1f} GB/s of memory"


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.limits", description="What this machine can do at most.")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--clock", default="wall", choices=list(CLOCKS))
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    print(line(measured(asked.device, asked.clock)))


if __name__ == "__main__":
    main()
