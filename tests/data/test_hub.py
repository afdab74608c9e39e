"""Sets of Hugging Face, made here: classes, texts, sides, and what is not opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_files import encoded, noise

from triptych.data.decode import Refused
from triptych.data.hub import Rows
from triptych.data.opening import open_data, pack
from triptych.data.sources import files_of
from triptych.errors import DataError, UsageError

datasets = pytest.importorskip("datasets", reason="pip install 'triptych[data]'")


def rows(first: int, last: int, **columns: Any) -> Any:
    """A set of images of noise with these columns beside them."""
    numbers = range(first, last)
    images = [{"bytes": encoded(noise(8, 8, 3, seed=number)), "path": None} for number in numbers]
    features = {"photo": datasets.Image()}
    values: dict[str, Any] = {"photo": images}
    for name, (feature, value) in columns.items():
        features[name], values[name] = feature, [value(number) for number in numbers]
    return datasets.Dataset.from_dict(values, features=datasets.Features(features))


KINDS = datasets.ClassLabel(names=["fish", "bird/owl", "cat"])
BOTH = {"kind": (KINDS, lambda n: n % 3), "caption": (datasets.Value("string"), lambda n: f"image {n}")}


def test_a_saved_set_carries_classes_and_texts(tmp_path: Path) -> None:
    rows(0, 9, **BOTH).save_to_disk(str(tmp_path / "animals"))
    splits = open_data(tmp_path / "animals")
    source = splits.everything
    assert splits.name == "animals"
    assert source.class_names == ("bird_owl", "cat", "fish")
    assert source.labels is not None
    numbers = [int(text.removeprefix("image ")) for text in source.texts]
    assert sorted(numbers) == list(range(9))
    for row, number in enumerate(numbers):
        assert source.class_names[source.labels[row]] == ("fish", "bird_owl", "cat")[number % 3]
        pixels = source.read([row]).images[0].permute(1, 2, 0).numpy()
        assert np.array_equal(pixels, noise(8, 8, 3, seed=number))


def test_splits_are_the_sides(tmp_path: Path) -> None:
    both = datasets.DatasetDict(train=rows(0, 6, **BOTH), test=rows(6, 9, **BOTH))
    both.save_to_disk(str(tmp_path / "animals"))
    splits = open_data(tmp_path / "animals")
    assert (len(splits.train), len(splits.validation)) == (6, 3)
    assert set(splits.validation.texts) == {"image 6", "image 7", "image 8"}
    assert len(open_data(f"hf:{tmp_path / 'animals'}:test").everything) == 3


def test_which_split_is_asked(tmp_path: Path) -> None:
    datasets.DatasetDict(train=rows(0, 3), extra=rows(3, 5)).save_to_disk(str(tmp_path / "animals"))
    with pytest.raises(UsageError, match=r"train or extra"):
        open_data(tmp_path / "animals")
    with pytest.raises(UsageError, match=r"train or extra"):
        open_data(f"hf:{tmp_path / 'animals'}:none")
    assert len(open_data(f"hf:{tmp_path / 'animals'}:extra").everything) == 2


def test_whole_numbers_are_classes_in_their_order(tmp_path: Path) -> None:
    rows(0, 12, label=(datasets.Value("int64"), lambda n: n)).save_to_disk(str(tmp_path / "x"))
    assert open_data(tmp_path / "x").everything.class_names == tuple(map(str, range(12)))


def test_rows_without_a_class_are_no_class(tmp_path: Path) -> None:
    rows(0, 4, kind=(KINDS, lambda n: -1)).save_to_disk(str(tmp_path / "x"))
    assert open_data(tmp_path / "x").everything.class_names == ()


def test_no_file_is_opened_that_a_row_names(tmp_path: Path) -> None:
    """Arrow files are made of whatever somebody wrote into them."""
    import pyarrow as pa

    (tmp_path / "secret.png").write_bytes(encoded(noise(8, 8, 3)))
    inside = encoded(noise(8, 8, 3))
    images = [{"bytes": None, "path": str(tmp_path / "secret.png")}, {"bytes": inside, "path": "/etc/passwd"}, None]
    table = pa.table({"image": pa.array(images, pa.struct({"bytes": pa.binary(), "path": pa.string()}))})
    about = datasets.DatasetInfo(features=datasets.Features({"image": datasets.Image()}))
    files = Rows({"train": datasets.Dataset(datasets.table.InMemoryTable(table), info=about)}, "x")
    assert files.read(files.entries[1]) == inside
    for number in (0, 2):
        with pytest.raises(Refused, match="holds no image"):
            files.read(files.entries[number])


def test_a_set_without_images_is_one_sentence(tmp_path: Path) -> None:
    datasets.Dataset.from_dict({"a": [1]}).save_to_disk(str(tmp_path / "x"))
    with pytest.raises(DataError, match="no column of images"):
        open_data(tmp_path / "x")
    (tmp_path / "y").mkdir()
    (tmp_path / "y" / "state.json").write_text("{}")
    with pytest.raises(DataError, match="no set of Hugging Face"):
        open_data(tmp_path / "y")


def test_a_changed_set_is_another(tmp_path: Path) -> None:
    rows(0, 3).save_to_disk(str(tmp_path / "a"))
    rows(1, 4).save_to_disk(str(tmp_path / "b"))
    a, b = files_of(tmp_path / "a"), files_of(tmp_path / "b")
    assert a is not None
    assert b is not None
    assert a.entries != b.entries
    assert pack(tmp_path / "a", tmp_path / "a.pack").images == 3
