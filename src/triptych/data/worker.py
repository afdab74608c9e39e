"""Images are decoded in child processes: a hostile file can kill a child, never the run.

The parent sends the bytes of a file down a pipe and reads plain pixels back, so a child opens no
file, and nothing is pickled. A child bounds its own memory and the seconds that one file may take.
A message is two lengths, a JSON list and bytes.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from typing import IO, Any, NamedTuple, Self

import numpy as np

from triptych.data.decode import Refused, decode, measure
from triptych.data.fit import channel_note, fit_to, to_channels
from triptych.errors import ResourceError

MOST_MEMORY = 4 * 2**30
MOST_SECONDS = 60
_LENGTHS = struct.Struct("<QQ")
_READY = b"ready\n"


class Task(NamedTuple):
    """What becomes of each image."""

    height: int  # 0: only measure it
    width: int
    fit: str
    channels: int  # 0: as many as the image has


class Reply(NamedTuple):
    """What became of one image."""

    refused: str = ""  # the reason, or "" where there are pixels
    size: tuple[int, int] = (0, 0)  # of the file, upright
    channels: int = 0
    notes: tuple[str, ...] = ()
    pixels: bytes = b""  # (task.height, task.width, channels)


def perform(task: Task, data: bytes) -> Reply:
    """One image from the bytes of its file, here and now."""
    try:
        if not task.height:
            return Reply(size=measure(data))
        decoded = decode(data, at_least=2 * max(task.height, task.width))
        pixels, notes = fit_to(decoded.pixels, (task.height, task.width), task.fit)
    except Refused as reason:
        return Reply(refused=str(reason))
    wanted = task.channels or pixels.shape[2]
    notes = decoded.notes + notes + channel_note(pixels.shape[2], wanted)
    return Reply("", decoded.size, wanted, notes, np.ascontiguousarray(to_channels(pixels, wanted)).tobytes())


class Workers:
    """So many child processes; a context."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._idle: SimpleQueue[_Child] = SimpleQueue()
        self._threads = ThreadPoolExecutor(self.count)
        self._children: list[_Child] = []
        self._closed = False

    def __enter__(self) -> Self:
        try:
            for _ in range(self.count):
                self._children.append(_Child())
                self._idle.put(self._children[-1])
        except ResourceError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._closed = True
        for child in self._children:
            child.stop()
        self._threads.shutdown(cancel_futures=True)

    def map(self, task: Task, groups: Iterable[Sequence[Callable[[], bytes]]]) -> Iterator[list[Reply]]:
        """A reply for each image of each group, in order; reading one may raise `Refused`.

        A group travels in one message, which saves time where files are small.
        """
        return self._threads.map(partial(self._group, task), groups)

    def _group(self, task: Task, reads: Sequence[Callable[[], bytes]]) -> list[Reply]:
        replies, there = [Reply() for _ in reads], dict[int, bytes]()
        for index, read in enumerate(reads):
            try:
                there[index] = read()
            except Refused as reason:
                replies[index] = Reply(refused=str(reason))
        child = self._idle.get()
        try:
            for index, reply in zip(there, self._ask(child, task, list(there.values())), strict=True):
                replies[index] = reply
        finally:
            self._idle.put(child)
        return replies

    def _ask(self, child: _Child, task: Task, images: list[bytes], again: bool = True) -> list[Reply]:
        """Where a child dies of a group, its images are sent one by one to find the culprit.

        An image whose child was killed from outside, such as by a system short of memory, is tried once more.
        """
        try:
            return child.ask(task, images)
        except (OSError, ValueError):  # the pipe broke, or was closed
            if self._closed:
                raise
            killed = child.restart() == -getattr(signal, "SIGKILL", 9)
        if len(images) > 1:
            return [self._ask(child, task, [image])[0] for image in images]
        if killed and again:
            return self._ask(child, task, images, again=False)
        return [Reply(refused=f"damaged (the decoder died of it, or took over {MOST_SECONDS} s)")]


class _Child:
    """One process and its two pipes."""

    def __init__(self) -> None:
        self._process = _started()

    def ask(self, task: Task, images: list[bytes]) -> list[Reply]:
        """Raises an `OSError` where the child has died."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        _send(self._process.stdin, [task, [len(image) for image in images]], b"".join(images))
        heads, body = _receive(self._process.stdout)
        pixels = _cut(body, [length for *_, length in heads])
        return [
            Reply(refused, (size[0], size[1]), channels, tuple(notes), part)
            for (refused, size, channels, notes, _), part in zip(heads, pixels, strict=True)
        ]

    def restart(self) -> int:
        """A new process; the exit code of the one before it, minus a signal's number where that ended it."""
        self.stop()
        code, self._process = self._process.returncode, _started()
        return code

    def stop(self) -> None:
        _stop(self._process)


def _started() -> subprocess.Popen[bytes]:
    paths = os.pathsep.join(path for path in sys.path if path)
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "triptych.data.worker"],
        env={**os.environ, "PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    if process.stdout.read(len(_READY)) != _READY:
        _stop(process)
        raise ResourceError("No process to decode images could be started: is the memory full?")
    return process


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):  # a broken pipe cannot be flushed
            assert pipe is not None
            pipe.close()


def _send(pipe: IO[bytes], head: list[Any], body: bytes) -> None:
    text = json.dumps(head).encode()
    pipe.write(_LENGTHS.pack(len(text), len(body)) + text)
    pipe.write(body)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> tuple[list[Any], bytes]:
    """One message; raises `ConnectionError` where the other side has gone."""
    lengths = pipe.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        raise ConnectionError("the other process ended")
    text_length, body_length = _LENGTHS.unpack(lengths)
    text, body = pipe.read(text_length), pipe.read(body_length)
    if len(text) + len(body) < text_length + body_length:
        raise ConnectionError("the other process ended in the middle of a message")
    return json.loads(text), body


def _cut(body: bytes, lengths: Sequence[int]) -> list[bytes]:
    ends = list(itertools.accumulate(lengths))
    return [body[end - length : end] for end, length in zip(ends, lengths, strict=True)]


def _bound_memory() -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    except (ImportError, OSError, ValueError):  # not every system can
        return


def main() -> None:
    """Answer each image on standard input until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    _bound_memory()
    alarm: Callable[[int], int] = getattr(signal, "alarm", lambda seconds: 0)
    sys.stdout.buffer.write(_READY)
    sys.stdout.buffer.flush()
    while True:
        try:
            (task, lengths), body = _receive(sys.stdin.buffer)
        except ConnectionError:
            return
        replies = []
        for data in _cut(body, lengths):
            alarm(MOST_SECONDS)
            replies.append(perform(Task(*task), data))
            alarm(0)
        heads = [[*reply[:-1], len(reply.pixels)] for reply in replies]
        _send(sys.stdout.buffer, heads, b"".join(reply.pixels for reply in replies))


if __name__ == "__main__":
    main()
