"""`python -m faults`: kill and resume, as often as asked; exit code 1 where anything was lost."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from faults import shim


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__)
    parser.add_argument("--count", type=int, default=0, metavar="N", help="kills")
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
    from faults import kills
    from faults.subjects import prepare

    start = time.monotonic()
    subjects = prepare(folder / "subjects", tuple(wished.models.split(",")))
    print(f"prepared in {time.monotonic() - start:.0f} s", file=sys.stderr)
    clean = True
    if wished.count:
        start = time.monotonic()
        rows = kills.campaign(subjects, wished.count, folder, wished.seed, lambda done: _progress(done, wished.count))
        print(kills.table(rows))
        print(f"\n{wished.count} kills in {time.monotonic() - start:.0f} s")
        print("\n".join(f"{row.phase}: {note}" for row in rows for note in row.notes[:3]))
        clean &= all(row.clean for row in rows)
    return not clean


def _progress(done: int, total: int) -> None:
    if done % 25 == 0:
        print(f"{done} of {total}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
