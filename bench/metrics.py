"""Images a second from features to a metric, beside torchmetrics and torch-fidelity.

    python -m bench metrics [--metric fid|kid|neighbours] [--features 2048] [--count 10000] [--batch 64] [--rounds 5]

All are given the same float32 features of as many real and generated images, by an extractor that costs nothing, and
must find the same value. `fid` streams batches; `kid` is of all images at once; `neighbours` is precision and recall,
with density and coverage on our side, and torchmetrics has none.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from bench.work import Work

GOALS = {"torchmetrics": 3.0, "torch_fidelity": 3.0}


def rows(count: int, width: int, batch: int, seed: int) -> Iterator[Tensor]:
    """Batches of rows like those of a network after its last ReLU: not negative, correlated, unequal in scale."""
    draw = torch.Generator().manual_seed(seed)
    mix = torch.randn(width, width, generator=torch.Generator().manual_seed(0)) / width**0.5
    for start in range(0, count, batch):
        yield torch.relu(torch.randn(min(batch, count - start), width, generator=draw) @ mix + 0.1 + 0.01 * seed)


def sides(count: int, width: int, batch: int) -> tuple[list[Tensor], list[Tensor]]:
    """Features of real and of generated images, in batches."""
    return list(rows(count, width, batch, 1)), list(rows(count, width, batch, 2))


def triptych(metric: str, features: int, count: int, batch: int) -> Work:
    from triptych.metrics.fid import frechet
    from triptych.metrics.kernel import kid
    from triptych.metrics.neighbours import near
    from triptych.metrics.summary import View, gather

    real, made = sides(count, features, batch)
    x, y = torch.cat(real), torch.cat(made)

    def fid() -> float:
        one, other = (gather("features", map(View, side)) for side in (real, made))
        return frechet(one.moments, other.moments)

    ways = {
        "fid": fid,
        "kid": lambda: kid(x, y).value,
        "neighbours": lambda: float(near(x, y).precision.mean()),
    }
    return Work(ways[metric], 2 * count, "triptych", value=ways[metric]())


def torchmetrics(metric: str, features: int, count: int, batch: int) -> Work:
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.kid import KernelInceptionDistance

    class Seen(nn.Identity):
        num_features = features

    real, made = sides(count, features, batch)

    def once() -> float:
        of_all = {"subsets": 1, "subset_size": count}
        judge = FrechetInceptionDistance(Seen()) if metric == "fid" else KernelInceptionDistance(Seen(), **of_all)
        for side, is_real in ((real, True), (made, False)):
            for part in side:
                judge.update(part, real=is_real)
        found = judge.compute()
        return float(found if metric == "fid" else found[0])

    return Work(once, 2 * count, "torchmetrics", value=once())


def torch_fidelity(metric: str, features: int, count: int, batch: int) -> Work:
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torch_fidelity.metric_prc import prc_features_to_metric

    real, made = sides(count, features, batch)

    def once() -> float:
        x, y = torch.cat(real), torch.cat(made)
        if metric == "fid":
            both = (fid_features_to_statistics(side) for side in (x, y))
            return float(fid_statistics_to_metric(*both, False)["frechet_inception_distance"])
        if metric == "kid":
            found = kid_features_to_metric(x, y, kid_subsets=1, kid_subset_size=count, verbose=False)
            return float(found["kernel_inception_distance_mean"])
        return float(prc_features_to_metric(y, x, verbose=False)["precision"])  # theirs takes generated first

    return Work(once, 2 * count, "torch_fidelity", value=once())


def main() -> None:
    from bench.contest import compete

    compete("metrics", GOALS, metric="fid", features=2048, count=10_000, batch=64)


if __name__ == "__main__":
    main()
