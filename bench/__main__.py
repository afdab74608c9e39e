"""All measurements, or one of them: `python -m bench` lists them, `python -m bench NAME ...` runs one."""

from __future__ import annotations

import ast
import runpy
import sys
from pathlib import Path

from triptych.errors import TriptychError, UsageError, nearest


def listed() -> dict[str, str]:
    """Each benchmark's name and what it measures: the modules of this folder with a `main`, unread by Python."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("[!_]*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if path.stem != "work" and any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body):
            found[path.stem] = (ast.get_docstring(tree) or "").splitlines()[0]
    return found


def main() -> None:
    known = listed()
    if len(sys.argv) < 2:
        print("\n".join(f"{name:14}{about}" for name, about in known.items()))
        return
    name = sys.argv.pop(1)
    if name not in known:
        raise UsageError(f"There is no benchmark {name!r}; {nearest(name, known)}")
    runpy.run_module(f"bench.{name}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    try:
        main()
    except TriptychError as error:
        print(error, file=sys.stderr)
        sys.exit(error.code)
