"""A command of triptych as a process of its own, so that its memory and its crashes are its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from triptych.training.interrupt import Stopped, Wish, listening

POSIX = os.name == "posix"


def call(words: Sequence[str]) -> tuple[int, dict[str, Any]]:
    """Run `triptych WORDS --json`; returns the exit code and the result, or {"error": why}.

    What the child says goes to our standard error. Raises `Stopped` once the child has ended when
    somebody asked either of the two to stop; a second wish ends both at once. The child is a process
    group of its own: Ctrl-C reaches it through us, once, so that it can save in peace.
    """
    line = [sys.executable, "-m", "triptych", *words, "--json"]
    group = 0 if POSIX else None
    with (
        listening() as wish,
        subprocess.Popen(line, stdout=subprocess.PIPE, encoding="utf-8", process_group=group) as child,
    ):
        try:
            answer = _wait(child, wish)
        finally:
            if child.poll() is None:
                child.kill()
    number = wish.number or {130: signal.SIGINT, 143: signal.SIGTERM}.get(child.returncode)
    if number is not None:
        raise Stopped("Stopped; the same line again goes on from there.", number)
    return child.returncode, _result(answer, child.returncode)


def _wait(child: subprocess.Popen[str], wish: Wish) -> str:
    """What the child writes until it ends; a wish to stop is passed on."""
    passed_on = not POSIX  # elsewhere the console tells the child itself
    while True:
        try:
            return child.communicate(timeout=0.1)[0]
        except subprocess.TimeoutExpired:
            if wish.number is not None and not passed_on:
                child.send_signal(wish.number)
                passed_on = True


def _result(answer: str, code: int) -> dict[str, Any]:
    """The JSON object that a child printed, or {"error": why} where there is none."""
    try:
        result = json.loads(answer.strip().splitlines()[-1])
    except (ValueError, IndexError):
        result = {}
    if isinstance(result, dict) and ((code == 0 and result) or "error" in result):
        return result
    if code < 0:
        name = signal.Signals(-code).name
        return {"error": f"its process was ended by {name}, perhaps for want of memory."}
    return {"error": f"its process ended with exit code {code} and no result."}
