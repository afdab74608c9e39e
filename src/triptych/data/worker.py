"""Images are decoded in child processes: a hostile file can kill a child, never the run.

The parent sends the bytes of a file down a pipe and reads plain pixels back, so a child opens no
file, and nothing is pickled. A child bounds its own memory and the seconds that one file may take.
A message is two lengths, a JSON object and bytes.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import IO, Any, NamedTuple, Self

import numpy as np

from triptych.data.decode import Refused, decode, measure
from triptych.data.fit import channel_note, fit_to, to_channels
from triptych.errors import ResourceError

MOST_MEMORY = 4 * 2**30
MOST_SECONDS = 60
_LENGTHS = struct.Struct("<QQ")


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
    """Child processes for one task; a context."""

    def __init__(self, task: Task, count: int | None = None) -> None:
        self.count = count or max(1, min(os.cpu_count() or 1, 16))
        self._task = task
        self._idle: SimpleQueue[_Child] = SimpleQueue()
        self._threads = ThreadPoolExecutor(self.count)
        self._children: list[_Child] = []

    def __enter__(self) -> Self:
        for _ in range(self.count):
            self._idle.put(self._start())
        return self

    def __exit__(self, *error: object) -> None:
        for child in self._children:
            child.stop()
        self._threads.shutdown(cancel_futures=True)

    def map(self, reads: Iterable[Callable[[], bytes]]) -> Iterator[Reply]:
        """A reply for each image, in order; `reads` may raise `Refused`."""
        return self._threads.map(self._one, reads)

    def _one(self, read: Callable[[], bytes]) -> Reply:
        try:
            data = read()
        except Refused as reason:
            return Reply(refused=str(reason))
        child = self._idle.get()
        try:
            return child.ask(data)
        except OSError:  # the pipe broke
            child.stop()
            child = self._start()
            return Reply(refused=f"damaged (the decoder died of it, or took over {MOST_SECONDS} s)")
        finally:
            self._idle.put(child)

    def _start(self) -> _Child:
        child = _Child(self._task)
        self._children.append(child)
        return child


class _Child:
    def __init__(self, task: Task) -> None:
        paths = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "triptych.data.worker", json.dumps(task)],
            env={**os.environ, "PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            self._receive()
        except OSError as error:
            self.stop()
            raise ResourceError(
                "No process to decode images could be started: is the memory full?"
            ) from error

    def ask(self, data: bytes) -> Reply:
        assert self._process.stdin is not None
        _send(self._process.stdin, {}, data)
        head, pixels = self._receive()
        return Reply(head["refused"], tuple(head["size"]), head["channels"], tuple(head["notes"]), pixels)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                assert pipe is not None
                pipe.close()
            except OSError:  # a broken pipe cannot be flushed
                pass

    def _receive(self) -> tuple[dict[str, Any], bytes]:
        assert self._process.stdout is not None
        return _receive(self._process.stdout)


def _send(pipe: IO[bytes], head: dict[str, Any], body: bytes = b"") -> None:
    text = json.dumps(head).encode()
    pipe.write(_LENGTHS.pack(len(text), len(body)) + text)
    pipe.write(body)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> tuple[dict[str, Any], bytes]:
    """One message; raises `ConnectionError` where the other side has gone."""
    lengths = pipe.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        raise ConnectionError("the other process ended")
    text_length, body_length = _LENGTHS.unpack(lengths)
    text, body = pipe.read(text_length), pipe.read(body_length)
    if len(text) + len(body) < text_length + body_length:
        raise ConnectionError("the other process ended in the middle of a message")
    return json.loads(text), body


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
    task = Task(*json.loads(sys.argv[1]))
    _send(sys.stdout.buffer, {})
    while True:
        try:
            _, data = _receive(sys.stdin.buffer)
        except ConnectionError:
            return
        alarm(MOST_SECONDS)
        reply = perform(task, data)
        alarm(0)
        _send(sys.stdout.buffer, reply._replace(pixels=b"")._asdict() | {"pixels": None}, reply.pixels)


if __name__ == "__main__":
    main()
