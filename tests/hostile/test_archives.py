"""Archives, folders and names that attack: refused, or skipped and counted; nothing is written or obeyed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from image_files import encoded, noise

from hostile.archives import REFUSED, SKIPPED, TRICKY_NAMES, linked, tricky
from hostile.measured import bearable, measured, refused
from triptych.cli import main
from triptych.data.decode import Refused, decode
from triptych.data.folder import Folder
from triptych.data.photographs import open_images, sides
from triptych.data.zipped import Zip
from triptych.errors import DataError
from triptych.gallery import write_csv
from triptych.report.html import _environment
from triptych.words import shown


def walked(path: Path) -> list[tuple[str, str]]:
    """What is not used of an archive, with the reasons: those of the list, and those of each member read."""
    files = Zip(path)
    reasons = list(files.skipped)
    for entry in files.entries:
        try:
            decode(files.read(entry))
        except Refused as reason:
            reasons.append((entry.name, str(reason)))
    return reasons


@pytest.mark.parametrize("name", REFUSED)
def test_refused_archives(name: str, tmp_path: Path) -> None:
    _, make, part = REFUSED[name]
    path = make(tmp_path)
    outcome = measured(lambda: walked(path))
    if not part:  # skipping the member alone is as good
        assert outcome.error in ("", "DataError"), outcome
        bearable(outcome)
    else:
        refused(lambda: walked(path), "DataError", part)
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.zip"]


@pytest.mark.parametrize("name", SKIPPED)
def test_skipped_members(name: str, tmp_path: Path) -> None:
    _, make, part = SKIPPED[name]
    path = make(tmp_path)
    bearable(measured(lambda: walked(path)))
    reasons = walked(path)
    assert [part in reason for _, reason in reasons] == [True]
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.zip"]


def test_nothing_but_files_is_followed(tmp_path: Path) -> None:
    root = linked(tmp_path)
    assert [entry.name for entry in Folder(root).entries] == ["good.png"]
    assert len(Folder(root).skipped) == 5
    for name in ("pipe.png", "s.png", "x.png", "self.png", "gone.png"):
        refused(lambda name=name: open_images([root / name], (1, 8, 8)), "DataError", "give an image file")  # type: ignore[misc]
    for name in ("pipe.png", "s.png"):
        refused(lambda name=name: Zip(root / name), "DataError", "not a zip")  # type: ignore[misc]


def test_masks_are_read_by_the_six_decoders_alone(tmp_path: Path) -> None:
    from hostile.images import EPS

    (tmp_path / "x.png").write_bytes(EPS)
    with pytest.raises(DataError, match="PostScript"):
        sides(tmp_path / "x.png")
    (tmp_path / "y.png").write_bytes(encoded(noise(5, 7)))
    assert sides(tmp_path / "y.png") == (5, 7)


def test_names_are_shown_without_their_teeth(tmp_path: Path, capfd: pytest.CaptureFixture[str],
                                             monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setenv("TRIPTYCH_DATA", str(tmp_path / "data"))
    root = tricky(tmp_path)
    assert main(["pack", str(root), str(tmp_path / "x.pack"), "--json"]) == 0
    said = capfd.readouterr()
    for text in (said.out, said.err):
        assert all(line.isprintable() for line in text.split("\n")), text
    found = json.loads(said.out)
    assert found["images"] == len(found["refused"]) == len(TRICKY_NAMES)


@pytest.mark.parametrize(
    "words", [["train", "dcgan", "{}"], ["sample", "{}"], ["evaluate", "{}"], ["pack", "{}", "x.pack"]]
)
def test_errors_show_a_path_without_its_teeth(words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    """A shell hands on whatever a file is called."""
    for name in TRICKY_NAMES[:10]:
        assert main([word.format(os.fsdecode(name)) for word in words]) in (2, 3, 4)
        text = capfd.readouterr().err
        assert all(line.isprintable() for line in text.split("\n")), text


def test_pages_and_tables_show_names_as_text(tmp_path: Path) -> None:
    names = [os.fsdecode(name) for name in TRICKY_NAMES]
    page = _environment().from_string("{% for name in names %}<i title='{{ name }}'>{{ name }}</i>{% endfor %}")
    html = page.render(names=names)
    html.encode()
    assert html.replace("\n", "").isprintable()
    assert "<script" not in html
    write_csv(tmp_path / "x.csv", ["name", "score"], [(name, -1.5) for name in names])
    lines = (tmp_path / "x.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + len(names)
    assert all(line.isprintable() and not line.startswith(("=", "+", "-", "@")) and line.endswith(",-1.5")
               for line in lines[1:])  # fmt: skip


def test_what_is_printable_stays() -> None:
    for name in ("a b.png", "café", "\U0001f600", "日本"):
        assert shown(name) == name
    assert shown("a\nb", keep="\n") == "a\nb"
    assert shown("\udcff\x1b\u202e\x9b") == "\\udcff\\x1b\\u202e\\x9b"
