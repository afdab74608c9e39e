"""The pages say what is so: links lead somewhere, commands parse, and tables follow the code."""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import torch
import yaml

from test_floors import FLOORS
from triptych import recipe, schema
from triptych.catalog import MENU
from triptych.cli import COMMANDS, parser_of
from triptych.core import Batch
from triptych.data import NAMED
from triptych.errors import TriptychError
from triptych.report.page import MEASURES

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXT = {".md", ".py", ".toml", ".yml", ".yaml", ".html", ".svg"}
by_name = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def text_of(name: str) -> str:
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


def blocks(page: Path, language: str = "") -> list[str]:
    """The fenced blocks of a page in one language."""
    parts = re.split(r"^```(.*)\n", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [block for opening, block in zip(parts[1::4], parts[2::4], strict=True) if opening == language]


def command_lines(page: Path) -> Iterator[list[str]]:
    """The words behind `triptych` of each command in a page's blocks."""
    for block in blocks(page):
        for line in block.replace("\\\n", " ").splitlines():
            for part in line.removeprefix("$ ").split("&&"):
                words = shlex.split(part, comments=True)
                if words[:1] == ["triptych"]:
                    yield words[1:]


def parser(name: str) -> argparse.ArgumentParser:
    """The flags of one command; the command itself is not run."""
    return parser_of(name, getattr(import_module(f"triptych.commands.{name}"), name))


def flags(name: str) -> set[str]:
    return {flag for action in parser(name)._actions for flag in action.option_strings}


def anchors(page: Path) -> set[str]:
    """What headings are called in links."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@by_name
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = page.parent / path if path else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


@by_name
def test_commands_can_be_read(page: Path) -> None:
    """Every command line in a block parses, with no command run."""
    for words in command_lines(page):
        name, rest = words[0], [word for word in words[1:] if word != "--help"]
        assert name in COMMANDS, words
        parser(name).parse_args(rest)


@by_name
def test_commands_in_sentences_exist(page: Path) -> None:
    for text in re.findall(r"`triptych ([^`]+)`", page.read_text(encoding="utf-8")):
        name, *rest = text.split()
        assert name in {*COMMANDS, "COMMAND"}, text
        if name in COMMANDS:
            assert {word.partition("=")[0] for word in rest if word.startswith("-")} <= flags(name), text


@by_name
def test_flags_in_sentences_exist(page: Path) -> None:
    """A flag named outside a command line is a flag of some command."""
    known = set().union(*(flags(name) for name in COMMANDS))
    for flag in re.findall(r"`(--?[a-z][a-z-]*)", page.read_text(encoding="utf-8")):
        assert flag in known, flag


@by_name
def test_python_can_be_read(page: Path) -> None:
    for block in blocks(page, "python"):
        assert ast.parse(block).body, block


def test_the_readme_names_the_suite_that_ci_runs() -> None:
    [line] = [line for block in blocks(ROOT / "README.md") for line in block.splitlines() if "pytest" in line]
    assert line in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_every_page_is_in_the_site() -> None:
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    listed = [page for entry in site["nav"] for page in entry.values()]
    assert sorted(listed) == sorted(page.name for page in (ROOT / "docs").glob("*.md"))
    assert site["theme"]["font"] is False


def test_no_text_names_a_machine() -> None:
    """Files speak of the project, not of where somebody keeps it."""
    folders = [ROOT / name for name in ("src", "tests", "docs", "bench", ".ci")]
    files = [*ROOT.glob("*"), *(path for folder in folders for path in folder.rglob("*"))]
    places = re.compile(r"(?<![\w.~-])/(?:" + "|".join(["ro" + "ot", "wo" + "rk", "home", "Users"]) + r")/")
    for path in files:
        if path.is_file() and (path.suffix in TEXT or path.name in ("Makefile", "run")):
            assert not places.search(path.read_text(encoding="utf-8")), path


def menu_rows() -> list[str]:
    """The table of docs/training.md that says what a recipe may hold, a row for each kind."""
    rows = []
    for role, kinds in MENU.items():
        for kind, address in kinds.items():
            home, _, name = address.partition(":")
            target = getattr(import_module(home), name.removesuffix("()"))
            values = values_of(target) if name.endswith("()") else []
            rows.append(f"| {role} | `{kind}` | {', '.join(f'`{value}`' for value in values) or 'nothing'} |")
    return rows


def values_of(target: Any) -> list[str]:
    """The parameters of a constructor as a recipe has them: "rate = 0.0002", "ramp = always"."""
    hints = get_type_hints(target.__init__ if inspect.isclass(target) else target, include_extras=True)
    values = []
    for name, parameter in inspect.signature(target).parameters.items():
        if name in schema.FACTS or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        role = next((mark for mark in get_args(hints[name]) if mark in MENU), None)
        if parameter.default is inspect.Parameter.empty:
            values.append(f"{name}: a {role}" if role else f"{name}: needed")
        elif callable(parameter.default):
            values.append(f"{name} = {schema._kind_of(str(role), parameter.default)}")
        else:
            default = list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default
            values.append(f"{name} = {yaml.safe_dump(default, default_flow_style=True).splitlines()[0]}")
    return values


def test_the_recipe_table_is_the_catalogue() -> None:
    text = text_of("training")
    missing = [row for row in menu_rows() if row not in text]
    assert not missing, "docs/training.md lacks these rows:\n" + "\n".join(missing)
    for key in schema.Top.model_fields:
        assert f"| `{key}` |" in text
    for part in (schema.Averaging, schema.Augment, schema.Stop):
        assert all(f"`{key}`" in text for key in part.model_fields)


@pytest.mark.parametrize("name", recipe.names())
def test_every_logged_number_is_explained(name: str) -> None:
    tree = schema.complete(recipe.read(name, "digits"))
    facts = {"image_shape": (1, 8, 8), "classes": 10}
    model = schema.build("model", tree["model"], facts)
    objective = schema.build("objective", tree["objective"], {**facts, "classes": model.classes})
    batch, text = Batch(torch.rand(4, 1, 8, 8), {"labels": torch.arange(4)}), text_of("training")
    for turn in objective.turns(model):
        for number in ("loss", "held_out", *turn.loss(batch, 0)[1]):
            assert f"`{turn.name}/{number}`" in text


def test_every_error_has_its_code_explained() -> None:
    text = text_of("training")
    assert all(f"| {kind.code} | " in text for kind in TriptychError.__subclasses__() if kind.code < 128)
    assert "| 130, 143 |" in text


@pytest.mark.parametrize("name", recipe.names())
def test_every_model_is_described(name: str) -> None:
    about, text = recipe.about(name), text_of("models")
    assert f"| `{name}` | {about.family} | {', '.join(about.can)} |" in text
    assert about.paper in text


def test_every_measure_of_the_report_is_described() -> None:
    assert all(f"| {measure.label} |" in text_of("compare") for measure in MEASURES)


def test_the_official_files_are_listed() -> None:
    text = text_of("data")
    for name, official in NAMED.items():
        assert f"| `{name}` |" in text
        for remote in official.remotes if official else ():
            assert f"| `{remote.name}` | {remote.size:,} |" in text


def test_the_front_page_lists_every_command() -> None:
    assert all(f"| `triptych {name}" in text_of("index") for name in COMMANDS)


def test_every_room_stands_on_its_floor() -> None:
    """The floors of docs/house.md are those of the imports."""
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", text_of("house"), re.MULTILINE)
    told = {room: int(floor) for floor, rooms in rows for room in re.findall(r"`(\w+)`", rooms)}
    assert told == {room: floor for room, floor in FLOORS.items() if not room.startswith("_")}


@pytest.mark.slow
def test_the_site_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("zensical", reason="pip install -e '.[docs]'")
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    subprocess.run([sys.executable, "-m", "zensical", "build", "--strict"], cwd=tmp_path, check=True)
    for page in (tmp_path / "site").rglob("*.html"):
        loaded = re.findall(r"<(?:link|script|img|iframe)\b[^>]*", page.read_text(encoding="utf-8"))
        assert not [tag for tag in loaded if re.search(r"(?:src|href)=\"?(?:https?:)?//", tag)], page
