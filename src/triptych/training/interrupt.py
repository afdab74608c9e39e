"""Ctrl-C and SIGTERM: the first asks the loop to stop after its step, the second stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from triptych.errors import TriptychError


class Stopped(TriptychError):  # noqa: N818 - it is an end, not an error
    """The run was asked to stop; it is saved, and the message says how to go on."""

    everywhere = True

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.code = 128 + number  # 130 for SIGINT, 143 for SIGTERM, as shells count


class Wish:
    """Whether somebody asked the run to stop, and by which signal."""

    number: int | None = None


@contextmanager
def listening() -> Iterator[Wish]:
    """Note the first signal; let the second through. Outside the main thread nothing is changed."""
    wish = Wish()
    if threading.current_thread() is not threading.main_thread():
        yield wish
        return

    def heard(number: int, frame: FrameType | None) -> None:
        if wish.number is not None:
            raise KeyboardInterrupt
        wish.number = number

    before = {number: signal.signal(number, heard) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield wish
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
