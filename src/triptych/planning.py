"""What a training will take, found by playing two seconds of it: images a second, memory, time and disk.

The probe plays real steps of a copy of the run, whose own weights and chances stay untouched. Two steps of smaller
batches come first: a line through their memory says whether the whole batch fits, before it is tried.
"""

from __future__ import annotations

import gc
import math
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from triptych import devices
from triptych.data import Splits
from triptych.errors import ResourceError
from triptych.flops import Course
from triptych.pacing import pace, play
from triptych.quantities import clock
from triptych.run import Budget, Run, build
from triptych.screen import Screen
from triptych.training.state import State
from triptych.ways import usual
from triptych.words import short, size

SECONDS = 2.0  # of the probe, over all stages of the training
WINS = 1.15  # times as many images a second from which a larger batch is worth a sentence
KEPT = 3  # checkpoints on the disk while one is written


class Plan(NamedTuple):
    """What to expect of a run from its first image to its last."""

    model: str
    data: str
    device: str
    precision: str
    compiled: bool
    batch: int
    images: int  # of the whole budget
    seconds: float  # of training for them, by the run's own clock: steps alone
    images_per_second: float
    memory: int  # bytes at the peak
    memory_of: str  # "device" or "process"
    memory_free: int | None  # bytes free for it, what the probe holds included; None where nobody tells
    checkpoints: int  # bytes of disk
    disk_free: int
    pack: int  # bytes of the images at this size, as a pack holds them
    fits: bool
    advice: tuple[str, ...]  # sentences


class Memory(NamedTuple):
    """Bytes at the peak as a line over the size of the batch."""

    size: int  # of a batch
    bytes: int  # at the peak of its step
    each: float  # bytes more for each image more
    free: int | None  # None where nobody tells

    def of(self, batch: int) -> int:
        """What a step of this batch takes."""
        return round(self.bytes + self.each * (batch - self.size))

    def fits(self, batch: int) -> bool:
        return self.free is None or self.of(batch) <= self.free


def plan_of(
    tree: Mapping[str, Any], splits: Splits, device: torch.device, budget: Budget, folder: Path, span: float = SECONDS
) -> Plan:
    """The plan of a complete recipe with this budget, from a probe of `span` seconds on a copy that is then dropped.

    Raises a `ResourceError` where a GPU has no room even for a small batch.
    """
    try:
        return _planned(build(folder, usual(dict(tree), device), splits, device, Screen(quiet=True)), budget, span)
    except torch.OutOfMemoryError as error:
        raise ResourceError(f"The model does not fit into the memory of {device}; give a smaller one.") from error
    finally:
        gc.collect()
        devices.forget_peak(device)  # of the copy, which is not the run's


def _planned(run: Run, budget: Budget, span: float) -> Plan:
    batch, device = int(run.tree["batch"]), run.device
    with devices.eagerly():  # each size of batch would be compiled anew
        memory = _memory(run, batch)
    fitting = next((size for size in _halves(batch) if memory.fits(size)), 2)
    run.stream.size = fitting
    images = float(budget.or_else(int(run.tree["images"])).images or math.inf)
    course = _course(run, images, span)
    images = min(images, course.images(budget.seconds) if budget.seconds else math.inf)
    _, memory_of = devices.peak_memory(device)
    memory = memory._replace(bytes=devices.peak_memory(device)[0], size=fitting)
    checkpoints, disk_free = _checkpoints(run), _disk_free(run.folder)
    faults = [*_too_large(memory, batch, fitting), *_too_full(run.folder, checkpoints, disk_free)]
    source = run.splits.everything
    return Plan(
        model=run.name,
        data=run.splits.name,
        device=str(device),
        precision=run.tree["precision"],
        compiled=run.tree["compile"],
        batch=fitting,
        images=int(images),
        seconds=course.mean(int(images)) * images,
        images_per_second=1 / course.mean(int(images)),
        memory=memory.of(batch),
        memory_of=memory_of,
        memory_free=memory.free,
        checkpoints=checkpoints,
        disk_free=disk_free,
        pack=len(source) * math.prod(source.image_shape),
        fits=not faults,
        advice=tuple(faults or _larger(run, batch, course, memory, span)),
    )


def tell(plan: Plan, screen: Screen) -> None:
    """The plan in two or three lines."""
    how = plan.precision + ", compiled" * plan.compiled
    speed = f"{short(plan.images_per_second)} images/s in batches of {plan.batch:,}, {how}, on {plan.device}"
    screen.say(f"Plan: {speed}; {plan.images:,} images take {clock(plan.seconds)} of training.")
    free = "" if plan.memory_free is None else f" of {size(plan.memory_free)} free"
    screen.say(
        f"Memory {size(plan.memory)}{free}; checkpoints {size(plan.checkpoints)} of {size(plan.disk_free)} "
        f"free on the disk; the images {size(plan.pack)}."
    )
    for sentence in plan.advice:
        (screen.say if plan.fits else screen.warn)(sentence)


def _memory(run: Run, batch: int) -> Memory:
    """A line through the peaks of an eighth and a quarter of the batch, which are tried before the whole."""
    sizes = max(2, batch // 8), max(4, batch // 4)
    peaks = []
    for run.stream.size in (sizes[0], *sizes):  # the first step also allocates what stays
        devices.forget_peak(run.device)
        play(run, State(run.state.seed), lambda state: state.steps >= 1)
        peaks.append(devices.peak_memory(run.device)[0])
    each = max(0.0, (peaks[2] - peaks[1]) / (sizes[1] - sizes[0]))
    return Memory(sizes[1], peaks[2], each, devices.free_memory(run.device))


def _halves(batch: int) -> Iterator[int]:
    """The batch, its half, its quarter, down to 2 images."""
    while batch >= 2:
        yield batch
        batch //= 2


def _course(run: Run, images: float, span: float) -> Course:
    """Seconds for each image, at each stage of the training that begins before so many images."""
    bounds = {int(seen) for turn in run.turns for seen in turn.span if seen < images}
    starts = sorted({0, *bounds})
    return Course(tuple(starts), tuple(pace(run, start, span / len(starts), images) for start in starts))


def _larger(run: Run, batch: int, course: Course, memory: Memory, span: float) -> list[str]:
    """A sentence where twice the batch is measured to train more images a second, and fits."""
    if run.tree["compile"] or not memory.fits(2 * batch):
        return []
    run.stream.size = 2 * batch
    gain = course.each[0] / pace(run, 0, span / 4, math.inf)
    if gain < WINS:
        return []
    return [
        f"Batches of {2 * batch:,} train {gain:.1f} times as many images a second (--set batch={2 * batch}), "
        "in half as many steps for as many images: look whether they learn as much."
    ]


def _too_large(memory: Memory, batch: int, fitting: int) -> list[str]:
    if memory.fits(batch):
        return []
    cure = "give a smaller model, or smaller images"
    if memory.fits(fitting):
        cure = f"give --set batch={fitting}, or --set pieces={batch // fitting}"
    return [
        f"It does not fit: a step of {batch:,} images takes about {size(memory.of(batch))} of memory, "
        f"and {size(memory.free or 0)} are free; {cure}."
    ]


def _too_full(folder: Path, checkpoints: int, free: int) -> list[str]:
    if checkpoints <= free:
        return []
    return [
        f"It does not fit: checkpoints take {size(checkpoints)}, and the disk of {folder} has {size(free)} free; "
        "make room there, or give another --out."
    ]


def _checkpoints(run: Run) -> int:
    """Bytes of all that stands on the disk while a checkpoint is written, the best weights included."""
    shown, held = (
        sum(t.numel() * t.element_size() for t in tensors.values())
        for tensors in (run.cast.shown.state_dict(), run.cast.tensors())
    )
    return KEPT * (shown + held) + shown


def _disk_free(folder: Path) -> int:
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free
