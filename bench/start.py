"""How long the first answer takes: `triptych --help`, `triptych models`, `import triptych`.

    python -m bench.start

Prints the median and the spread of 15 starts of each, whole processes, in milliseconds.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

STARTS = {
    "python (nothing)": ["-c", "pass"],
    "import triptych": ["-c", "import triptych"],
    "triptych --help": ["-m", "triptych", "--help"],
    "triptych models": ["-m", "triptych", "models"],
}


def once(words: list[str]) -> float:
    """Milliseconds of one process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    return 1000 * (time.perf_counter() - start)


def main() -> None:
    for name, words in STARTS.items():
        once(words)  # the files are in the page cache from here on
        spans = sorted(once(words) for _ in range(15))
        print(f"{name:20} {statistics.median(spans):6.0f} ms   ({spans[0]:.0f} to {spans[-1]:.0f})")


if __name__ == "__main__":
    main()
