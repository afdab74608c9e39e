"""Train the bundled extractor from scratch on CIFAR-10 as class folders of images, and write its weights.

    python tools/train_bundled.py TRAIN TEST --epochs 9 -o first.safetensors
    python tools/train_bundled.py TRAIN TEST --epochs 8 --earlier first.safetensors --rate 0.6 --seed 1

A first layer that whitens patches, stochastic gradient descent with Nesterov momentum, one triangle of
the learning rate, mirrored and shifted images, smoothed labels, and the average of the last weights
(after Jordan 2024, arXiv:2404.00498). `--earlier FILE` goes on from weights at a rate that only falls; the
two lines above made the package's weights in 43 and 40 minutes on two CPU cores. The weights are written in
half precision; the accuracy on TEST that is printed is theirs, as they are read back.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from triptych.core import Source
from triptych.data import Stream, open_data
from triptych.extractors.bundled import Net
from triptych.pixels import to_float

BATCH = 512
RATE = 1.5e-3  # of the sum of a batch's losses
BIASES = 64  # times that for biases
DECAY = 1e-3  # of a weight, each step at the highest rate
MOMENTUM, WARM = 0.85, 0.23


def fill(net: Net, path: Path) -> None:
    """Give a network the weights of a file; the counters of its norms are not in there."""
    net.load_state_dict({name: t.float() for name, t in load_file(path).items()}, strict=False)


def rate_at(done: float, again: bool) -> float:
    """The learning rate as a share of the highest, at this share of the steps: up, then down; again: down only."""
    if again:
        return 1 - 0.97 * done
    return 0.2 + 0.8 * done / WARM if done < WARM else 1 - 0.95 * (done - WARM) / (1 - WARM)


def accuracy(net: Net, source: Source) -> float:
    """The share of images whose class is found from both ways of looking at them, as the extractor does."""
    net.eval()
    right = 0
    with torch.no_grad():
        for start in range(0, len(source), 500):
            images, given = source.read(range(start, min(start + 500, len(source))))
            found = net.logits(net.both_ways(to_float(images))).argmax(1)
            right += int((found == given["labels"]).sum())
    net.train()
    return right / len(source)


def begin(net: Net, source: Source) -> None:
    """First weights: whitening of real patches, and convolutions that pass their input on (section 3 of the paper)."""
    x = to_float(source.read(range(0, len(source), 10)).images)
    patches = x.unfold(2, 2, 1).unfold(3, 2, 1).permute(0, 2, 3, 1, 4, 5).reshape(-1, 12)
    values, vectors = torch.linalg.eigh(torch.cov(patches.T.double()))
    rows = (vectors / (values + 5e-4).sqrt()).T.float()
    with torch.no_grad():
        net.whiten.weight.copy_(torch.cat([rows, -rows]).view_as(net.whiten.weight))
        shift = rows @ patches.mean(0)
        net.whiten.bias.copy_(torch.cat([-shift, shift]))
        for part in net.trunk.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.dirac_(part.weight[: part.in_channels])
            if isinstance(part, nn.BatchNorm2d):
                part.momentum = 0.4
                part.weight.requires_grad_(False)
    net.whiten.weight.requires_grad_(False)


def train(source: Source, epochs: int, seed: int, earlier: Path | None = None, share: float = 1.0) -> Net:
    """The averaged network after so many passes over the images, from earlier weights where there are some."""
    torch.manual_seed(seed)
    net = Net()
    begin(net, source)
    if earlier:
        fill(net, earlier)
    net = net.to(memory_format=torch.channels_last)
    follow = torch.optim.swa_utils.get_ema_multi_avg_fn(0.98)
    average = torch.optim.swa_utils.AveragedModel(net, use_buffers=True, multi_avg_fn=follow)
    learning = [p for p in net.parameters() if p.requires_grad]
    rates = {id(p): RATE * (BIASES if p.ndim == 1 else 1) for p in learning}
    optimiser = torch.optim.SGD(
        [
            {"params": [p], "lr": rates[id(p)], "weight_decay": DECAY / rates[id(p)], "rate": rates[id(p)]}
            for p in learning
        ],
        momentum=MOMENTUM,
        nesterov=True,
    )
    stream = Stream(source, seed, BATCH, flip=True, shift=2)
    steps = epochs * len(source) // BATCH
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.2, reduction="sum")
    start = time.perf_counter()
    for step in range(steps):
        done = step / steps
        for group in optimiser.param_groups:
            group["lr"] = group["rate"] * share * rate_at(done, earlier is not None)
        images, given = stream.batch(step * BATCH)
        loss = loss_of(net.logits(net(images.contiguous(memory_format=torch.channels_last))), given["labels"])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        average.update_parameters(net)
        if step % 10 == 0:
            print(
                f"step {step} of {steps}: loss {loss.item() / BATCH:.3f}, {time.perf_counter() - start:.0f} s",
                flush=True,
            )
    kept: Net = average.module
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", help="class folders of CIFAR-10's training images")
    parser.add_argument("test", help="class folders of its test images")
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--earlier", type=Path, help="weights to go on from")
    parser.add_argument("--rate", type=float, default=1.0, help="the highest rate, as a share of the usual one")
    parser.add_argument("-o", "--out", type=Path, default=Path("src/triptych/extractors/bundled.safetensors"))
    given = parser.parse_args()
    net = train(open_data(given.train).everything, given.epochs, given.seed, given.earlier, given.rate)
    half = {name: t.half() for name, t in net.state_dict().items() if t.is_floating_point()}
    save_file({name: t.contiguous() for name, t in half.items()}, given.out)
    back = Net()
    fill(back, given.out)
    score = accuracy(back, open_data(given.test).everything)
    print(f"{given.out}: {given.out.stat().st_size / 1e6:.2f} MB, test accuracy {score:.4f}")


if __name__ == "__main__":
    main()
