"""The house stands: imports go down only, no family is named outside its room."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import triptych
from triptych import recipe
from triptych.catalog import FAMILIES, MENU

ROOT = Path(triptych.__file__).parent
FLOORS = {
    room: floor
    for floor, rooms in enumerate(
        (
            "errors place ranks durable lock chance ramps pixels catalog quantities flags screen devices words machine"
            " magnitudes intake zoo",
            "core",
            "nets metrics extractors labels",
            "data gan vae diffusion",
            "training together recipe schema",
            "store ways sampling gallery report child evaluation leaks walking inversion film features attributes"
            " insight",
            "run",
            "scoring flops rescue pacing",
            "play planning settling comparison",
            "commands",
            "cli",
            "__main__ __init__",
        )
    )
    for room in rooms.split()
}
FILES = sorted(ROOT.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> set[str]:
    """The rooms of the package that a file imports, at its top or inside functions."""
    rooms = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            rooms |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("triptych.")}
        elif isinstance(node, ast.ImportFrom) and node.module == "triptych":
            rooms |= {alias.name if alias.name in FLOORS else "__init__" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("triptych."):
            rooms.add((node.module or "").split(".")[1])
    return rooms


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down(path: Path) -> None:
    here = room(path)
    for there in imported(ast.parse(path.read_text(encoding="utf-8"))):
        if there in (here, "__init__"):  # the version number is everybody's
            continue
        below = FLOORS[there] < FLOORS[here] or (FLOORS[there] == FLOORS[here] == 0)
        below = below or (FLOORS[there] == FLOORS[here] == 5) or {here, there} == {"schema", "recipe"}
        assert below, f"{here} (floor {FLOORS[here]}) imports {there} (floor {FLOORS[there]})"


def words_of(tree: ast.AST) -> set[str]:
    """Identifiers and strings of a file, docstrings apart."""
    texts: set[str] = set()
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            texts.add(node.id)
        elif isinstance(node, ast.Attribute):
            texts.add(node.attr)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            texts.add(node.name)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            texts.add(node.value)
    return {word for text in texts for word in re.findall(r"[a-z]+", text.lower())}


@pytest.mark.parametrize(
    "path",
    [p for p in FILES if room(p) not in (*FAMILIES, "catalog", "cli")],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_no_family_is_named(path: Path) -> None:
    models = {word for name in (*MENU["model"], *recipe.names()) for word in name.split("-")}
    names = {*FAMILIES, *models} - {"mlp", "kl", "latent", "flow", "text", "upscale", "colorize"}
    assert not words_of(ast.parse(path.read_text(encoding="utf-8"))) & names


def test_rooms_are_small() -> None:
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert text.count("\n") <= 320, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 70, f"{path}: {node.name}"


@pytest.mark.parametrize("family", FAMILIES)
def test_the_others_train_without_one_family(family: str, tmp_path: Path) -> None:
    """With one family's folder hidden, a model of each other family still trains."""
    script = f"""
import sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("triptych.{family}"):
            raise ImportError(name + " is hidden")
sys.meta_path.insert(0, Hide())
from triptych import recipe
from triptych import recipe
from triptych.catalog import ONE_OF_EACH
from triptych.commands.train import train
from triptych.screen import Screen
trained = [
    train(name, "digits", out=f"{{sys.argv[1]}}/{{name}}", images=128, set=["batch=64"], screen=Screen(quiet=True))
    for name in ONE_OF_EACH if recipe.about(name).family != "{family}"
]
assert len(trained) == 2 and all(t.seen == 128 for t in trained)
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
