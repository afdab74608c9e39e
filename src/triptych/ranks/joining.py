"""How processes that torchrun started become a crew: PyTorch's own engine, gloo between CPUs and NCCL between GPUs.

torch.distributed has no password and no encryption: whoever reaches its ports is believed. On one machine messages
therefore stay on the loopback interface unless the user names another one. torchrun's own store listens on all.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import safetensors.torch
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]

from triptych import __version__
from triptych.errors import RankError, ResourceError, TriptychError, UsageError
from triptych.place import Place, place
from triptych.ranks.crew import Facts, Named
from triptych.ranks.rows import sharing
from triptych.ranks.watch import LONG, LOST, Watch

JOIN = 60  # seconds for all processes to have come
CALL = 2**62  # from here on, a number at `most` is a call


class Many:
    """Several processes, connected; each call is a meeting to which all come."""

    def __init__(self, here: Place, watch: Watch) -> None:
        self.rank, self.world, self.watch = here.rank, here.world, watch
        self._answer: Callable[[int], None] = lambda what: None

    def add(self, x: Tensor) -> None:
        """Replace x by its sum over all ranks."""
        self._meet(lambda: dist.all_reduce(x))

    def broadcast(self, x: Tensor, source: int) -> None:
        """Replace x by that of rank `source`."""
        self._meet(lambda: dist.broadcast(x, source))

    def handed_in(self, tensors: Named, source: int) -> Named:
        """On rank 0 the tensors of rank `source` by name, on the CPU; elsewhere none. One goes after the other."""
        found: dict[str, Tensor] = {}
        if self.rank == source:
            self._meet(lambda: _send(tensors))
        else:
            self._meet(lambda: found.update(_received(source)) if self.rank == 0 else None)
        return found

    def most(self, number: int) -> int:
        """The largest number of all ranks, on the CPU: a rank that hangs elsewhere never gets here."""
        told = torch.tensor(number, dtype=torch.int64)
        self._meet(lambda: dist.all_reduce(told, dist.ReduceOp.MAX))
        if told < CALL or number >= CALL:
            return int(told)
        self.aside(True)
        self._answer(int(told) - CALL)
        self.aside(False)
        return self.most(number)

    def call(self, what: int) -> None:
        """On rank 0: let the others, who wait at `most`, answer, and then wait on."""
        self.most(CALL + what)

    def on_call(self, answer: Callable[[int], None]) -> None:
        """What this process does when rank 0 calls."""
        self._answer = answer

    def aside(self, yes: bool) -> None:
        """Note that this process does what is not training."""
        self.watch.aside = yes

    def compare(self, facts: Facts) -> None:
        """Raise a `RankError` that names the ranks whose facts are not those of rank 0."""
        _compare(self.watch.store, self.watch.here, facts())

    def _meet(self, operation: Callable[[], object]) -> None:
        self.watch.meeting += 1
        try:
            operation()
        except RuntimeError as error:
            raise self.watch.failed(error) from error


def _send(tensors: Named) -> None:
    """To rank 0: how many, and then the size and the bytes of a safetensors file of each."""
    dist.send(torch.tensor(len(tensors)), 0)
    for name, tensor in tensors.items():
        file = torch.frombuffer(bytearray(safetensors.torch.save({name: tensor.cpu().contiguous()})), dtype=torch.uint8)
        dist.send(torch.tensor(len(file)), 0)
        dist.send(file, 0)


def _received(source: int) -> dict[str, Tensor]:
    """On rank 0: what rank `source` sends."""
    number = torch.tensor(0)
    found: dict[str, Tensor] = {}
    dist.recv(number, source)
    for _ in range(int(number)):
        dist.recv(number, source)
        file = torch.empty(int(number), dtype=torch.uint8)
        dist.recv(file, source)
        found |= safetensors.torch.load(file.numpy().tobytes())
    return found


@contextmanager
def joined(device: str) -> Iterator[str]:
    """Belong to the crew that torchrun started, if it did; gives the name of this process's device.

    Raises a `UsageError` or `ResourceError` for a device that several processes cannot share, and a `RankError`
    where the others do not come within a minute or have another PyTorch. An error that ends one process alone is
    told to the others, which then end with exit code 7.
    """
    here = place()
    if here.world == 1:
        yield device
        return
    where = _device(here, device)
    watch = _watch(here)
    try:
        _connect(here, watch, where)
        with sharing(Many(here, watch)):
            yield where
    except BaseException as error:
        if isinstance(error, TriptychError) and error.everywhere:
            watch.finish()
        else:
            watch.leave()
        raise _named(error, here) from error
    watch.finish()
    dist.destroy_process_group()


def _watch(here: Place) -> Watch:
    """The watch over the crew, all of which have come."""
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    keeps = here.leads and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"  # else torchrun keeps it
    try:
        store = TCPStore(address, port, here.world, keeps, timedelta(seconds=JOIN), wait_for_workers=False)
    except RuntimeError as error:
        raise RankError(f"Rank {here.rank} cannot reach the store of the run at {address}:{port} ({error}).") from error
    watch = Watch(PrefixStore(f"triptych/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store), here)
    watch.store.set(f"come/{here.rank}", "")
    keys = [f"come/{rank}" for rank in range(here.world)]
    try:
        watch.store.wait(keys, timedelta(seconds=JOIN))
    except RuntimeError as error:
        missing = ", ".join(str(rank) for rank, key in enumerate(keys) if not watch.store.check([key]))
        raise RankError(f"Rank {missing} did not come within {JOIN} s; start all machines at once.") from error
    return watch


def _connect(here: Place, watch: Watch, device: str) -> None:
    """The process group, between processes of one PyTorch."""
    versions = {"PyTorch": torch.__version__, "Python": platform.python_version(), "triptych": __version__}
    _compare(watch.store, here, versions)
    watch.start()
    if here.near == here.world:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
    engine = "cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo"
    group = PrefixStore("group", watch.store)
    dist.init_process_group(
        engine, store=group, rank=here.rank, world_size=here.world, timeout=timedelta(seconds=LONG + 2 * LOST)
    )


def _compare(store: Any, here: Place, facts: Mapping[str, str]) -> None:
    """Raise where ranks have other facts than rank 0: a sentence on rank 0, an empty one on the others."""
    name = "/".join(facts)
    store.set(f"{name}/{here.rank}", json.dumps(facts))
    told = [json.loads(store.get(f"{name}/{rank}")) for rank in range(here.world)]
    for rank, other in enumerate(told):
        for fact, value in told[0].items():
            if other[fact] != value:
                error = RankError(
                    f"Rank {rank} has another {fact} than rank 0: {other[fact]} there, {value} here; make them alike."
                    if here.leads
                    else ""
                )
                error.everywhere = True
                raise error


def _device(here: Place, name: str) -> str:
    """The device of this process: a GPU of its own, or the CPU."""
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return "cpu"
    if name not in ("auto", "cuda"):
        raise UsageError(f"--device {name} cannot be shared by {here.world} processes; give cuda, cpu or auto.")
    if here.near > torch.cuda.device_count():
        raise ResourceError(
            f"{here.near} processes find {torch.cuda.device_count()} GPUs on this machine; start one a GPU "
            "(--nproc-per-node), or give --device cpu."
        )
    torch.cuda.set_device(here.local)
    return f"cuda:{here.local}"


def _named(error: BaseException, here: Place) -> BaseException:
    """An error of one rank alone with its rank in front."""
    if isinstance(error, TriptychError) and not here.leads and str(error) and not isinstance(error, RankError):
        error.args = (f"Rank {here.rank}: {error}",)
    return error
