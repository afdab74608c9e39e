"""`python -m faults`: kill and resume, as often as asked; exit code 1 where anything was lost."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from faults import shim


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__)
    parser.add_argument("--count", type=int, default=0, metavar="N", help="kills")
    parser.add_argument("--flips", type=int, default=0, metavar="N", help="changed bits in checkpoints and packs")
    parser.add_argument("--signals", action="store_true", help="Ctrl-C and SIGTERM, once and twice")
    parser.add_argument("--cuts", action="store_true", help="power cuts after each call that changes the disk")
    parser.add_argument("--others", action="store_true", help="full disks, NaNs, clocks, foreign files, ...")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the kills and flips")
    parser.add_argument("--models", default="mlp-gan,vae,flow", metavar="NAMES", help="what is trained")
    wished = parser.parse_args()
    shim.again_with_shim()
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    try:
        return run(wished, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shim.remove()


def run(wished: argparse.Namespace, folder: Path) -> int:
    """Each part that was asked for, with its table."""
    from faults import flips, kills, others, powercut, signals
    from faults.subjects import prepare

    start = time.monotonic()
    subjects = prepare(folder / "subjects", tuple(wished.models.split(",")))
    print(f"prepared in {time.monotonic() - start:.0f} s", file=sys.stderr)
    parts: list[Callable[[], tuple[str, list[Any]]]] = []

    def kill() -> tuple[str, list[Any]]:
        rows = kills.campaign(subjects, wished.count, folder, wished.seed, lambda done: _progress(done, wished.count))
        return kills.table(rows), rows

    def flip() -> tuple[str, list[Any]]:
        rows = flips.campaign(subjects[0].begun, folder, wished.flips, wished.seed)
        return flips.table(rows), rows

    def signal() -> tuple[str, list[Any]]:
        rows = signals.campaign(subjects, folder)
        return signals.table(rows), rows

    def cut() -> tuple[str, list[Any]]:
        rows = powercut.campaign(subjects, folder, seed=wished.seed)
        return powercut.table(rows), rows

    def other() -> tuple[str, list[Any]]:
        rows = others.campaign(subjects[-1], folder)
        return others.table(rows), rows

    parts += [kill] if wished.count else []
    parts += [signal] if wished.signals else []
    parts += [flip] if wished.flips else []
    parts += [cut] if wished.cuts else []
    parts += [other] if wished.others else []
    return 0 if all(list(map(_clean, parts))) else 1


def _clean(part: Callable[[], tuple[str, list[Any]]]) -> bool:
    """Do a part, print its table and what went wrong; whether nothing did."""
    start = time.monotonic()
    table, rows = part()
    print(f"{table}\n\n{time.monotonic() - start:.0f} s\n")
    for row in rows:
        for note in getattr(row, "notes", [])[:3]:
            print(f"{getattr(row, 'phase', '')}{getattr(row, 'file', '')}: {note}")
    return all(row.clean for row in rows)


def _progress(done: int, total: int) -> None:
    if done % 25 == 0:
        print(f"{done} of {total}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
