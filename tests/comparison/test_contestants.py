"""Who takes part, as words of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from triptych.catalog import ONE_OF_EACH
from triptych.comparison.contestants import contestants, folders
from triptych.errors import UsageError


def test_one_of_each_family_where_nobody_is_named() -> None:
    assert [one.label for one in contestants(None)] == list(ONE_OF_EACH)


def test_several_of_one_family_have_labels_and_changes_of_their_own() -> None:
    first, second, third = contestants("ddpm,small=ddpm,ddpm@mine.yaml", ["batch=8", "small:model.width=16"])
    assert (first.label, first.changes) == ("ddpm", ("batch=8",))
    assert (second.label, second.changes) == ("small", ("batch=8", "model.width=16"))
    assert (third.label, third.file) == ("ddpm@mine", "mine.yaml")
    line = second.words("photos", Path("runs/small"))
    assert line == ["train", "ddpm", "photos", "--set", "batch=8", "--set", "model.width=16", "--out", "runs/small"]
    assert third.words("photos", Path("x"))[3:5] == ["--recipe", "mine.yaml"]


@pytest.mark.parametrize(
    ("models", "changes", "sentence"),
    [
        ("vea", [], "did you mean 'vae'"),
        ("vae,a=vae,a=dcgan", [], "'a' stands twice"),
        ("../x=vae", [], "cannot be a label"),
        ("vae", ["dcgan:batch=2"], "no model here is called 'dcgan'"),
    ],
)
def test_mistakes_are_said(models: str, changes: list[str], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        contestants(models, changes)


def test_a_model_named_twice_takes_part_once() -> None:
    assert len(contestants("vae, vae")) == 1


def test_folders_from_elsewhere() -> None:
    assert folders(["theirs=a/b", "more=c=d"], ["vae"]) == {"theirs": "a/b", "more": "c=d"}
    assert folders({"theirs": "a"}, []) == {"theirs": "a"}
    for wrong in (["theirs"], ["=a"], ["theirs="], ["vae=a"], ["a=b", "a=c"]):
        with pytest.raises(UsageError, match="--folder"):
            folders(wrong, ["vae"])
