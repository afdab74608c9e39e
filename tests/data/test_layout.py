"""What folders mean: classes, official splits, or nothing."""

from __future__ import annotations

import numpy as np
import pytest

from triptych.data.layout import layout
from triptych.words import shown


def test_folders_are_classes_sorted_by_bytes() -> None:
    found = layout(["Zebra/1.png", "cat/1.png", "cat/deep/er/2.png", "Ähre/1.png"])
    assert found.class_names == ("Zebra", "cat", "Ähre")
    assert found.labels is not None
    assert found.labels.tolist() == [0, 1, 1, 2]
    assert found.validation is None


@pytest.mark.parametrize("names", [["1.png", "2.png"], ["only/1.png", "only/2.png"], ["a/b/1.png"], []])
def test_one_folder_is_no_class(names: list[str]) -> None:
    assert layout(names) == ((), None, None, ())


def test_a_common_folder_is_the_root() -> None:
    assert layout(["photos/cat/1.png", "photos/dog/1.png"]).class_names == ("cat", "dog")
    assert layout(["a/b/cat/1.png", "a/b/dog/x/1.png"]).class_names == ("cat", "dog")


def test_images_beside_folders_mean_no_classes() -> None:
    found = layout(["1.png", "cat/1.png"])
    assert found.labels is None
    assert "no folder is taken for a class" in found.notes[0]


@pytest.mark.parametrize("side", ["test", "val", "valid", "validation", "Test"])
def test_official_split(side: str) -> None:
    names = [
        f"{side}/cat/1.png",
        f"{side}/dog/1.png",
        "train/cat/1.png",
        "train/cat/2.png",
        "train/eel/1.png",
    ]
    found = layout(names)
    assert found.class_names == ("cat", "dog", "eel")
    assert found.labels is not None
    assert found.validation is not None
    np.testing.assert_array_equal(found.labels, [0, 1, 0, 0, 2])
    np.testing.assert_array_equal(found.validation, [True, True, False, False, False])


def test_official_split_without_classes_and_with_three_sides() -> None:
    found = layout(["set/test/1.png", "set/train/1.png", "set/val/1.png"])
    assert found.labels is None
    assert found.validation is not None
    assert found.validation.tolist() == [True, False, True]
    assert "test and val" in found.notes[0]


@pytest.mark.parametrize("names", [["train/1.png", "car/1.png"], ["test/1.png", "val/1.png"]])
def test_a_train_among_other_things_is_a_class(names: list[str]) -> None:
    found = layout(names)
    assert found.validation is None
    assert len(found.class_names) == 2


def test_empty_folders_are_named() -> None:
    found = layout(["p/cat/1.png", "p/dog/1.png"], ["p", "p/cat", "p/dog", "p/eel", "p/cat/deep", "q"])
    assert found.class_names == ("cat", "dog")
    assert found.notes == ("folder eel has no image that can be used and is no class",)


def test_names_are_shown_without_their_teeth() -> None:
    assert shown("a\nb\x1b[31m\u202egnp.exe") == "a\\nb\\x1b[31m\\u202egnp.exe"
    assert shown("caf\u00e9 \U0001f600") == "caf\u00e9 \U0001f600"
    assert shown(b"\xff".decode("utf-8", "surrogateescape")) == "\\udcff"
