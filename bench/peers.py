"""Other people's libraries, in an environment of their own, for what is measured against them.

    python -m bench.peers

Installs the versions of `peers.txt`, with the torch that triptych has, into the folder that TRIPTYCH_PEERS names, else
into `peers` beside the downloads of triptych.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.data.places import data_folder
from triptych.errors import UsageError

ROOT = Path(__file__).parents[1]
WANTED = Path(__file__).with_name("peers.txt")


def home() -> Path:
    """The folder of the environment."""
    return Path(os.environ.get("TRIPTYCH_PEERS") or data_folder() / "peers")


def interpreter(side: str) -> str:
    """The Python that a side runs in: this one for triptych, the peers' for all others."""
    if side.startswith("triptych"):
        return sys.executable
    path = home() / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not path.exists():
        raise UsageError(f"{home()} holds no peers to measure against; make them with `python -m bench peers`.")
    return str(path)


class Child:
    """A side that works in a process of its own when it is told to; see `work.py`."""

    def __init__(self, module: str, side: str, settings: dict[str, Any]) -> None:
        words = [interpreter(side), "-m", "bench.work", module, side, json.dumps(settings)]
        paths = os.pathsep.join([str(ROOT), str(ROOT / "src")] if side.startswith("triptych") else [str(ROOT)])
        environment = os.environ | {"PYTHONPATH": paths, "OMP_WAIT_POLICY": "PASSIVE"}
        environment["OMP_NUM_THREADS"] = str(settings["threads"])
        self.side = side
        self._process = subprocess.Popen(
            words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        self.told: dict[str, Any] = self._answer()

    def _answer(self) -> Any:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise UsageError(f"{self.side} ended with exit code {self._process.wait()}; its own words are above.")
        return json.loads(line)

    def seconds(self, times: int) -> float:
        """Let it work so many times."""
        return float(self._asked(times))

    def draw(self, count: int, path: Path) -> NDArray[np.uint8]:
        """So many images (N, C, H, W) of what it has trained, by way of a file."""
        images: NDArray[np.uint8] = np.load(self._asked([count, str(path)]), allow_pickle=False)
        return images

    def _asked(self, words: Any) -> Any:
        assert self._process.stdin
        print(json.dumps(words), file=self._process.stdin, flush=True)
        return self._answer()

    def close(self) -> None:
        """Let it end: there is nothing more to read."""
        self._process.communicate()


def main() -> None:
    subprocess.run([sys.executable, "-m", "venv", str(home())], check=True)
    torch = version("torch").partition("+")[0]
    words = [interpreter("peers"), "-m", "pip", "install", f"torch=={torch}", "-r", str(WANTED)]
    subprocess.run(words, check=True)


if __name__ == "__main__":
    main()
