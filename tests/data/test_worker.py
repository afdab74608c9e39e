"""Child processes decode; when one dies, its file is named and the others are read."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from image_files import encoded, noise

from triptych.data import worker
from triptych.data.decode import Refused
from triptych.data.worker import Reply, Task, Workers, perform
from triptych.errors import ResourceError

IMAGES = [noise(8, 8, 3, seed=seed) for seed in range(6)]
FILES = [encoded(image) for image in IMAGES]


def reads(files: list[bytes]) -> list[Callable[[], bytes]]:
    return [partial(bytes, data) for data in files]


def test_children_do_what_is_done_here() -> None:
    def gone() -> bytes:
        raise Refused("it is gone")

    task = Task(6, 5, "pad", 4)
    with Workers(2) as workers:
        groups = [reads(FILES[:3]), [*reads([b"", FILES[3]]), gone], reads(FILES[4:])]
        replies = [reply for group in workers.map(task, groups) for reply in group]
    assert replies[:3] == [perform(task, data) for data in FILES[:3]]
    assert replies[3] == Reply(refused="an empty file")
    assert replies[5] == Reply(refused="it is gone")
    assert replies[6:] == [perform(task, data) for data in FILES[4:]]
    assert replies[0].notes == ()
    assert len(replies[0].pixels) == 6 * 5 * 4


def test_measuring() -> None:
    assert perform(Task(0, 0, "crop", 0), encoded(noise(13, 37))) == Reply(size=(13, 37))


def test_pixels_come_back_unchanged() -> None:
    reply = perform(Task(8, 8, "crop", 0), FILES[0])
    np.testing.assert_array_equal(np.frombuffer(reply.pixels, np.uint8).reshape(8, 8, 3), IMAGES[0])


def test_a_child_that_dies_takes_only_its_file_along(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Task(8, 8, "crop", 0)
    with Workers(1) as workers:
        (child,) = workers._children
        kill_for(child, FILES[2], monkeypatch)
        (replies,) = workers.map(task, [reads(FILES[:5])])
    assert [bool(reply.refused) for reply in replies] == [False, False, True, False, False]
    assert "the decoder died of it" in replies[2].refused
    assert replies[4] == perform(task, FILES[4])


def test_leaving_early_ends_every_child(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = threading.Event()

    def slow() -> bytes:
        waiting.wait(0.3)
        return FILES[0]

    def leave(workers: Workers) -> None:
        next(workers.map(Task(8, 8, "crop", 0), [[slow] for _ in range(20)]))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Workers(2) as workers:
        leave(workers)
    assert [child._process.poll() is not None for child in workers._children] == [True, True]


def test_a_child_that_cannot_start_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker.sys, "executable", shutil.which("true"))
    with pytest.raises(ResourceError, match="No process"), Workers(1):
        pass


def kill_for(child: worker._Child, poison: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the child die whenever this file reaches it, as a fault in a decoder would."""
    ask = child.ask

    def deadly(task: Task, images: list[bytes]) -> list[Reply]:
        if poison in images:
            child._process.kill()
            child._process.wait()
        return ask(task, images)

    monkeypatch.setattr(child, "ask", deadly)


def test_a_child_bounds_its_own_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[tuple[int, tuple[int, int]]] = []
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "setrlimit", lambda kind, pair: limits.append((kind, pair)))
    worker._bound_memory()
    assert limits == [(resource.RLIMIT_AS, (worker.MOST_MEMORY, worker.MOST_MEMORY))]
