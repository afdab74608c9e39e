"""Draw the pictures of `docs/truths.md` into `docs/pictures/`.

python tools/draw_truths.py
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from truths.pictures import PICTURES  # noqa: E402


def main() -> None:
    for name, picture in PICTURES.items():
        (ROOT / "docs" / "pictures" / f"truth-{name}.svg").write_text(picture.svg(), encoding="utf-8")


if __name__ == "__main__":
    main()
