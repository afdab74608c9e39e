"""The command line: quick to answer, one sentence for a mistake, one object for a script."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import triptych
from triptych.cli import COMMANDS, main
from triptych.recipe import names

HEAVY = {"torch", "numpy", "pydantic", "yaml", "rich", "PIL"}


def python(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter on this package."""
    settings = {**os.environ, **environment}
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, env=settings, timeout=120, check=False
    )


def quickest(limit: float, *words: str, tries: int = 8) -> float:
    """The least processor time of some runs, stopping at the first under the limit.

    On a machine with nothing else to do it is the time that passes; other work cannot spoil it.
    """
    best = float("inf")
    for _ in range(tries):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert python(*words).returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if best < limit:
            break
    return best


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(words)
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_help_is_quick() -> None:
    assert quickest(0.15, "-m", "triptych", "--help") < 0.15


def test_models_are_listed_quickly() -> None:
    assert quickest(0.5, "-m", "triptych", "models") < 0.5


@pytest.mark.parametrize(
    ("words", "kept_out"), [(["--help"], HEAVY), (["models", "--json"], {"torch", "numpy", "pydantic"})]
)
def test_nothing_heavy_is_imported(words: list[str], kept_out: set[str]) -> None:
    program = (
        f"import atexit, sys; atexit.register(lambda: print({kept_out} & sys.modules.keys())); "
        f"from triptych.cli import main; main({words})"
    )
    assert python("-c", program).stdout.splitlines()[-1] == "set()"


def test_importing_is_quick() -> None:
    assert quickest(0.1, "-c", "import triptych") < 0.1


def test_no_help_imports_torch() -> None:
    program = (
        "import sys\nfrom triptych.cli import COMMANDS, main\n"
        "for name in COMMANDS:\n"
        "    try: main([name, '--help'])\n"
        "    except SystemExit: pass\n"
        f"print({HEAVY} & sys.modules.keys())"
    )
    assert python("-c", program).stdout.splitlines()[-1] == "set()"


def test_the_overview_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in COMMANDS)
    assert python("-m", "triptych", "--help").stdout == shown


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    shown = capsys.readouterr().out
    assert end.value.code == 0
    assert f"usage: triptych {name}" in shown
    assert "--json" in shown
    assert "--quiet" in shown


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["trian"], "did you mean 'train'?"),
        (["compare", "digits", "--models", "dcgn"], "did you mean 'dcgan'?"),
        (["train", "dcgan", "digits", "--budget", "3"], "--budget"),
        (["models", "all"], "all"),
        (["sample"], "RUN"),
    ],
)
def test_a_mistake_is_one_sentence_and_code_2(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = said(capsys, *words)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert sentence in err
    assert len(err.splitlines()) == 1


def test_a_mistake_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "compare", "digits", "--models", "dcgn", "--json")
    assert json.loads(out)["code"] == code == 2


def test_the_catalogue_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(capsys, "models", "--json", "--quiet")
    found: list[dict[str, Any]] = json.loads(out)
    assert (code, err) == (0, "")
    assert [model["name"] for model in found] == list(names())
    assert all(set(model) == {"name", "family", "paper", "can", "parameters", "tuned_for"} for model in found)
    assert all("sample" in model["can"] and model["paper"] for model in found)


def test_the_catalogue_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(capsys, "models")
    assert (code, out) == (0, "")
    assert all(name in err for name in names())


def test_the_doctor_finds_this_machine_well(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(capsys, "doctor", "--json")
    health = json.loads(out)
    assert code == 0
    assert health["works"]
    lines = {check["name"]: check for check in health["checks"]}
    assert {"python", "arithmetic", "device", "memory", "working folder", "data folder"} <= set(lines)
    assert all(check["cure"] for check in health["checks"] if not check["works"])
    assert all(name in err for name in lines)


def test_the_doctor_survives_a_broken_torch(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('libcudart.so.12: no such file')\n")
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    ended = python("-m", "triptych", "doctor", "--json", PYTHONPATH=paths)
    assert ended.returncode == json.loads(ended.stdout)["code"] == 5
    assert "Traceback" not in ended.stderr
    assert "missing" in ended.stderr
    assert "libcudart.so.12" in ended.stderr


def test_no_command_has_the_name_of_a_room() -> None:
    """Else `triptych.NAME` is the function until the room is imported, and a module from then on."""
    rooms = {path.stem for path in Path(triptych.__file__).parent.iterdir()}
    assert not rooms & set(triptych._HOMES)
