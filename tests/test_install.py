"""The package as a stranger gets it: a wheel in a clean environment, far from the source tree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


def run(*words: str | Path, cwd: Path) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run([str(w) for w in words], cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder, ROOT, cwd=folder)
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_what_is_needed_and_no_more(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    source = {str(p.relative_to(ROOT / "src")) for p in (ROOT / "src" / "triptych").rglob("*") if p.is_file()}
    assert {n for n in names if n.startswith("triptych/")} == {n for n in source if "__pycache__" not in n}
    assert not [n for n in names if n.startswith(("tests", "bench", "docs"))]
    zoo = sum(p.stat().st_size for p in (ROOT / "src" / "triptych" / "zoo").rglob("*") if p.is_file())
    assert wheel.stat().st_size < 4_500_000 + zoo


def test_compare_runs_from_a_clean_environment(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    run(python, "-m", "pip", "install", wheel, cwd=tmp_path)
    said = run(python, "-m", "triptych", "compare", "digits", "--for", "2s", "--scored", "300", "--json", cwd=tmp_path)
    report = json.loads(said)
    assert [m["name"] for m in report["models"]] == ["dcgan", "vae", "ddpm"]
    assert (tmp_path / "compare-digits" / "report.html").stat().st_size > 10_000
    assert json.loads(run(python, "-m", "triptych", "doctor", "--json", cwd=tmp_path))
