"""What evaluation is made of: streams, cached references, equal shapes, judgements, skills."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from triptych.core import NOTHING, Batch, Likelihood, Model
from triptych.data.arrays import ArraySource
from triptych.data.packing import Wish
from triptych.errors import DataError, UsageError
from triptych.evaluation import (
    Sides,
    even,
    generated,
    judge,
    opened,
    read,
    reference,
    remarks,
    require_alike,
    skills,
    summarise,
)
from triptych.evaluation.reference import place
from triptych.extractors import Extractor, Seen
from triptych.metrics.estimate import Score
from triptych.pixels import to_float
from triptych.sampling import generate
from triptych.screen import Screen

SHAPE = (1, 4, 4)
NO_WISH = Wish(None, None, "crop")


def flat(images: Tensor) -> Seen:
    return Seen(images.flatten(1).float() / 255)


LOOK = Extractor("flat", "flat, by hand", flat)


@pytest.fixture(autouse=True)
def _own_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_DATA", str(tmp_path / "data"))


def noise(count: int, seed: int = 0, shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def write(folder: Path, **images: tuple[int, int, str]) -> Path:
    """PNGs of (height, width, mode) filled with noise."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, (height, width, mode)) in enumerate(images.items()):
        pixels = noise(1, number, (height, width, len(mode)))[0].squeeze()
        Image.fromarray(pixels, mode).save(folder / f"{name}.png")
    return folder


# streams


def test_a_summary_is_that_of_all_images_however_they_are_cut() -> None:
    images = noise(301)
    features = images.reshape(301, -1) / 255.0
    for step in (1, 7, 128, 301):
        batches = (Batch(torch.from_numpy(images[start : start + step])) for start in range(0, 301, step))
        seen = summarise(batches, LOOK)
        np.testing.assert_allclose(seen.moments.mean, features.mean(0), rtol=0, atol=1e-7)
        np.testing.assert_allclose(seen.moments.covariance, np.cov(features.T), rtol=0, atol=1e-7)
        assert sorted(seen.rows.index.tolist()) == list(range(301))


def test_no_images_is_a_sentence() -> None:
    with pytest.raises(DataError, match="no images to evaluate"):
        summarise(iter(()), LOOK)


@pytest.mark.parametrize("shape", [(3,), (2, 5), (3, 5, 1)])
def test_features_of_another_shape_are_a_sentence(shape: tuple[int, ...]) -> None:
    wrong = LOOK._replace(look=lambda images: Seen(torch.zeros(shape)))
    with pytest.raises(UsageError, match="one row for each image"):
        summarise([Batch(torch.from_numpy(noise(3)))], wrong)


def test_features_that_are_no_numbers_are_a_sentence() -> None:
    wrong = LOOK._replace(look=lambda images: Seen(torch.full((len(images), 2), math.nan)))
    with pytest.raises(DataError, match="not finite in 3 of 3 images"):
        summarise([Batch(torch.from_numpy(noise(3)))], wrong)


def test_an_error_of_the_extractor_stays_what_it_is() -> None:
    def broken(images: Tensor) -> Seen:
        raise TypeError("mine")

    with pytest.raises(TypeError, match="mine"):
        summarise([Batch(torch.from_numpy(noise(3)))], LOOK._replace(look=broken))


def test_an_even_sample_is_spread_over_the_whole() -> None:
    source = ArraySource(noise(1000))
    rows = even(source, 200)
    assert rows == sorted(set(rows)) == even(source, 200)
    assert set(even(source, 50)) <= set(rows)
    parts = np.histogram(rows, bins=4, range=(0, 1000))[0]
    assert all(25 <= part <= 75 for part in parts)  # 50 expected, four deviations to either side
    assert even(source, 5000) == list(range(1000))


def test_read_gives_the_images_at_positions() -> None:
    source = ArraySource(noise(300), np.arange(300) % 3, ["a", "b", "c"])
    assert [len(batch.images) for batch in read(source)] == [128, 128, 44]
    (part,) = read(source, [5, 299])
    assert torch.equal(part.images, torch.from_numpy(noise(300)[[5, 299]]))
    assert part.given["labels"].tolist() == [2, 2]


class Toy(Model):
    """Encodes an image as itself; every image is as likely as any other."""

    classes = 3

    def __init__(self, shape: tuple[int, int, int] = SHAPE) -> None:
        super().__init__()
        self.image_shape = self.latent_shape = shape
        self.empty = nn.Parameter(torch.zeros(1))

    def decode(self, z: Tensor, given: Any = NOTHING) -> Tensor:
        return z + self.empty

    def sample(self, draw: Any, given: Any = NOTHING) -> Tensor:
        return draw.uniform(*self.image_shape) * 2 - 1

    def encode(self, x: Tensor, given: Any = NOTHING, draw: Any = None) -> Tensor:
        return x

    def log_likelihood(self, x: Tensor, draw: Any, given: Any = NOTHING) -> Likelihood:
        return Likelihood(torch.full((len(x),), -math.prod(self.image_shape) * math.log(256)), bound=False)


def test_generated_images_are_a_source() -> None:
    source = generated(Toy(), range(10, 17), batch=3)
    (batch,) = generate(Toy(), range(10, 17))
    assert torch.equal(source.read(range(7)).images, batch.images)
    assert torch.equal(source.read(range(7)).given["labels"], batch.given["labels"])
    assert source.names[0] == "seed-00000010"
    assert source.class_names == ("0", "1", "2")


def test_too_many_generated_images_are_refused_before_work() -> None:
    with pytest.raises(UsageError, match=r"take 10\.\d GB of memory.*triptych sample"):
        generated(Toy((3, 1024, 1024)), range(3300))


# references


def numbers(found: Any) -> list[list[float]]:
    return [part.tolist() for part in (found.moments.mean, found.moments.scatter, *found.rows) if part is not None]


def never(images: Tensor) -> Seen:
    raise AssertionError("the images were looked at again")


def test_a_reference_is_read_from_its_file_the_second_time() -> None:
    source = ArraySource(noise(200), np.arange(200) % 2, ["a", "b"])
    first, second = reference(source, "train", LOOK), reference(source, "train", LOOK._replace(look=never))
    assert numbers(first) == numbers(second)
    assert (first.extractor, first.n, first.most) == (second.extractor, second.n, second.most)
    assert [path.name for path in place(source, "train", LOOK).parent.iterdir()] == [
        place(source, "train", LOOK).name  # and nothing half-written beside it
    ]
    with pytest.raises(AssertionError, match="again"):
        reference(source, "train", LOOK._replace(about="another", look=never))
    with pytest.raises(AssertionError, match="again"):
        reference(source.subset(np.arange(100)), "train", LOOK._replace(look=never))


def of_other_data(path: Path) -> None:
    other = ArraySource(noise(200, seed=1))
    reference(other, "train", LOOK)
    place(other, "train", LOOK).rename(path)


def of_another_extractor(path: Path) -> None:
    source, another = ArraySource(noise(200)), LOOK._replace(about="another")
    reference(source, "train", another)
    place(source, "train", another).rename(path)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def one_bit_flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(bytes(data))


def of_another_format(path: Path) -> None:
    with safe_open(path, "pt") as file:
        said = file.metadata()
    save_file(load_file(path), path, {**said, "format": "0"})


def of_no_format(path: Path) -> None:
    path.write_text("cheese")


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (of_other_data, "belong to another fingerprint"),
        (of_another_extractor, "belong to another extractor"),
        (of_another_format, "belong to another format"),
        (cut_short, "are damaged"),
        (one_bit_flipped, "have changed since they were written"),
        (of_no_format, "are damaged"),
    ],
)
def test_a_file_that_is_not_the_one_is_made_anew(harm: Callable[[Path], None], reason: str) -> None:
    source, notes = ArraySource(noise(200)), list[str]()
    right = reference(source, "train", LOOK)
    harm(place(source, "train", LOOK))
    assert numbers(reference(source, "train", LOOK, notes.append)) == numbers(right)
    (sentence,) = notes
    assert reason in sentence
    assert numbers(reference(source, "train", LOOK._replace(look=never), notes.append)) == numbers(right)
    assert len(notes) == 1


def test_a_folder_that_cannot_be_written_costs_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    notes = list[str]()
    assert reference(ArraySource(noise(20)), "train", LOOK, notes.append).n == 20
    assert "could not be written" in notes[0]


# shapes


def unheard(sentence: str) -> None:
    """Nobody listens."""


def test_other_shapes_are_refused_with_the_counts(tmp_path: Path) -> None:
    made = {f"a{i}": (8, 8, "RGB") for i in range(4)} | {"b": (16, 16, "RGB")}
    found = opened(write(tmp_path / "made", **made), NO_WISH, unheard)
    real = opened(write(tmp_path / "real", a=(9, 9, "RGBA"), b=(9, 9, "RGBA")), NO_WISH, unheard)
    with pytest.raises(DataError) as caught:
        require_alike(found.shapes, real.shapes, NO_WISH)
    assert str(caught.value) == (
        "4 images are 8x8x3 and 1 is 16x16x3, but the reference is 9x9x4; give --size and --channels to convert both."
    )
    with pytest.raises(DataError, match="give --channels to convert both"):
        require_alike(found.shapes, real.shapes, Wish((8, 8), None, "crop"))
    require_alike(found.shapes, real.shapes, Wish((8, 8), 3, "crop"))
    with pytest.raises(DataError, match=r"reference is no set of one shape: 4 images are 8x8x3.*give --size"):
        require_alike(real.shapes, found.shapes, NO_WISH)
    require_alike(real.shapes, real.shapes, NO_WISH)


def test_many_shapes_are_counted_together() -> None:
    shapes = {(3, side, side): 1 for side in range(8, 18)}
    with pytest.raises(DataError, match=r"1 image is 8x8x3, .* and 5 have other shapes, but the reference is 8x8x3"):
        require_alike(shapes, {(3, 8, 8): 2}, NO_WISH)


def test_grey_among_colour_is_counted_and_opaque_among_alpha_is_not(tmp_path: Path) -> None:
    grey = opened(write(tmp_path / "grey", a=(8, 8, "RGB"), b=(8, 8, "L")), NO_WISH, unheard)
    assert dict(grey.shapes) == {(3, 8, 8): 1, (1, 8, 8): 1}
    opaque = opened(write(tmp_path / "opaque", a=(8, 8, "RGBA"), b=(8, 8, "RGB")), NO_WISH, unheard)
    assert dict(opaque.shapes) == {(4, 8, 8): 2}


def test_large_images_stay_as_they_are_here(tmp_path: Path) -> None:
    folder, notes = write(tmp_path / "large", a=(130, 140, "L"), b=(130, 140, "L")), list[str]()
    found = opened(folder, NO_WISH, notes.append)
    assert found.everything.image_shape == (1, 130, 140)
    assert not [note for note in notes if "64x64" in note]
    assert opened(folder, Wish((32, 32), None, "crop"), unheard).everything.image_shape == (1, 32, 32)


# judgements


def clouds(count: int, centres: list[int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images whose values lie around one of these levels, with the number of their level."""
    chance = np.random.default_rng(seed)
    labels, wobble = chance.integers(len(centres), size=count), chance.integers(-9, 10, (count, *SHAPE))
    return (np.array(centres)[labels][:, None, None, None] + wobble).astype(np.uint8), labels


def by_key(scores: Any) -> dict[str, Score]:
    return {score.key: score for score in scores}


def test_a_judgement_of_images_from_the_same_place(quiet: Screen) -> None:
    images, labels = clouds(600, [60, 180], seed=0)
    real, fresh = ArraySource(images[:400], labels[:400], ["dark", "light"]), ArraySource(images[400:])
    found = judge(fresh, Sides("grey", real, "train", fresh), LOOK, quiet)
    mine, theirs = by_key(found.scores), by_key(found.held_out)
    assert mine == theirs  # the held-out images are the generated ones here
    assert mine["kid"].estimate.low < 0 < mine["kid"].estimate.high
    assert mine["density"].estimate.value == pytest.approx(1, abs=0.15)
    assert mine["inception-score"].estimate is None
    assert mine["frechet"].label == "FD-flat"
    assert found.setting == ("flat", "flat, by hand", 200, 400, "grey", "train", real.fingerprint[:12], 200)
    assert "200 generated against 400 real images (grey, train, reference" in found.setting.words()
    light = [pytest.approx(part.mean()) for part in (labels[400:], labels[:400])]
    assert [(row.name, row.share, row.real_share) for row in found.classes[1:]] == [("light", *light)]
    assert found.kernels == {}


def test_a_class_that_is_never_made_is_seen(quiet: Screen) -> None:
    real = ArraySource(*clouds(400, [60, 180], seed=0), ["dark", "light"])
    made = ArraySource(clouds(300, [180], seed=1)[0], np.zeros(300, np.int64), ["light"])
    found = judge(made, Sides("grey", real, "train"), LOOK, quiet)
    dark, light = found.classes
    assert (dark.share, dark.coverage) == (0, 0)
    assert light.share == 1
    assert light.coverage > 0.8
    assert list(found.kernels) == ["light"]
    assert found.kernels["light"].estimate.low < 0 < found.kernels["light"].estimate.high
    assert found.held_out == ()


def test_the_worst_are_those_far_from_everything(quiet: Screen) -> None:
    images, _ = clouds(300, [100], seed=1)
    images[[7, 150, 290]] = noise(3, seed=3)
    found = judge(ArraySource(images), Sides("grey", ArraySource(clouds(400, [100], 0)[0]), "train"), LOOK, quiet)
    assert set(found.worst[:3]) == {7, 150, 290}
    assert len(found.worst) == len(found.best) == 24
    assert not set(found.best) & {7, 150, 290}


@pytest.mark.parametrize(("made", "real", "sentence"), [(1, 9, "is one generated image"), (9, 1, "is one real image")])
def test_one_image_is_no_set(made: int, real: int, sentence: str, quiet: Screen) -> None:
    with pytest.raises(DataError, match=sentence):
        judge(ArraySource(noise(made)), Sides("few", ArraySource(noise(real)), "train"), LOOK, quiet)


def test_few_images_get_reasons_instead_of_numbers(quiet: Screen) -> None:
    found = judge(ArraySource(noise(3)), Sides("few", ArraySource(noise(4, 1)), "train"), LOOK, quiet)
    assert all(score.estimate is None and score.note for score in found.scores)
    assert found.worst == found.best == []


def test_remarks_follow_from_the_setting(quiet: Screen) -> None:
    real, apart = ArraySource(noise(40)), ArraySource(noise(10, 1))
    own = judge(ArraySource(noise(20, 2)), Sides("few", real, "train", apart), LOOK, quiet)
    assert ["flat" in remarks([own])[0], "10 held-out" in remarks([own])[1], len(remarks([own]))] == [True, True, 3]
    known = LOOK._replace(name="inception")
    assert remarks([judge(ArraySource(noise(20, 2)), Sides("few", real, "validation"), known, quiet)]) == []


# skills


def test_skills_of_a_model_that_keeps_everything(quiet: Screen) -> None:
    train = ArraySource(*clouds(300, [40, 120, 200], seed=0), ["a", "b", "c"])
    test = ArraySource(*clouds(90, [40, 120, 200], seed=1), ["a", "b", "c"])
    found = skills(Toy(), train, test, quiet)
    assert found is not None
    assert (found.taught, found.held_out, found.bits_are) == (300, 90, "exact")
    assert found.psnr.value == math.inf
    assert found.ssim.value == pytest.approx(1, abs=1e-12)
    assert found.probe.value == found.probe_of_pixels.value == 1
    assert found.bits.value == pytest.approx(8, rel=1e-6)  # a uniform guess costs all eight bits


def test_a_probe_needs_labels(quiet: Screen) -> None:
    found = skills(Toy(), ArraySource(noise(50)), ArraySource(noise(20, 1)), quiet)
    assert found is not None
    assert found.probe is None
    assert found.bits is not None


def test_reconstructions_are_compared_as_uint8(quiet: Screen) -> None:
    class Off(Toy):
        def decode(self, z: Tensor, given: Any = NOTHING) -> Tensor:
            return z + 10 / 127.5

    images = ArraySource(noise(30) // 2)  # 0 to 127, so that nothing is clamped
    assert to_float(images.read([0]).images).max() < 0
    found = skills(Off(), images, images, quiet)
    assert found is not None
    assert found.psnr.value == pytest.approx(20 * math.log10(255 / 10), rel=1e-9)


def test_a_model_that_only_samples_has_no_other_skills(quiet: Screen) -> None:
    class Only(Model):
        image_shape, latent_shape, classes = SHAPE, (1,), 0

        def decode(self, z: Tensor, given: Any = NOTHING) -> Tensor:
            return z

        def sample(self, draw: Any, given: Any = NOTHING) -> Tensor:
            return draw.uniform(*SHAPE)

    assert skills(Only(), ArraySource(noise(9)), ArraySource(noise(9)), quiet) is None
