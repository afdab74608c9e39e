"""Data sets known by name: real images, official files, pinned checksums, no pickle.

- digits: 1,797 handwritten digits, 8x8 grey, within scikit-learn (Alpaydin and Kaynak 1998, UCI).
- cifar10: 60,000 photographs in 10 classes, 32x32 RGB (Krizhevsky 2009), the binary version.
- mnist: 70,000 handwritten digits, 28x28 grey (LeCun, Cortes and Burges 1998).
- fashion-mnist: 70,000 pieces of clothing, 28x28 grey (Xiao, Rasul and Vollgraf 2017).

The last three have an official test side, which is the validation side here.
"""

from __future__ import annotations

import gzip
import hashlib
import struct
import tarfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from triptych.data import packed
from triptych.data.arrays import ArraySource, Labels
from triptych.data.decode import Pixels
from triptych.data.fetch import Remote, fetch
from triptych.data.places import claimed, data_folder, make_room, publish
from triptych.errors import DataError, ResourceError

Progress = Callable[[int, int], None]
Found = tuple[ArraySource, NDArray[np.bool_] | None]
_MOST = 2**28  # bytes that one part of an official file may unpack to
_NUMERALS = tuple(str(digit) for digit in range(10))
_CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_CIFAR_PARTS = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")
_CLOTHES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


class Side(NamedTuple):
    """The images (N, C, H, W) of one side of the official split."""

    images: Pixels
    labels: Labels


class Official(NamedTuple):
    """A data set that is downloaded."""

    remotes: tuple[Remote, ...]
    read: Callable[[Sequence[Path]], tuple[Side, Side]]  # files -> training and validation side
    class_names: tuple[str, ...]


def read_cifar(paths: Sequence[Path]) -> tuple[Side, Side]:
    """The binary CIFAR-10 archive: records of a label and 3x32x32 bytes; nothing is extracted."""
    parts: dict[str, bytes] = {}
    with tarfile.open(paths[0], "r:gz") as archive:
        for member in archive:
            name = member.name.rsplit("/", 1)[-1]
            if member.isreg() and name in _CIFAR_PARTS and member.size <= _MOST:
                content = archive.extractfile(member)
                parts[name] = content.read() if content else b""
    records = []
    for name in _CIFAR_PARTS:
        data = parts.get(name, b"")
        if not data or len(data) % 3073:
            raise ValueError(f"{name} is missing or is not made of records of 3,073 bytes")
        records.append(np.frombuffer(data, np.uint8).reshape(-1, 3073))
    train, test = np.concatenate(records[:-1]), records[-1]
    return _cifar_side(train), _cifar_side(test)


def read_idx(paths: Sequence[Path]) -> tuple[Side, Side]:
    """Four gzipped IDX files: training images and labels, test images and labels."""
    train, train_labels, test, test_labels = (_idx(path) for path in paths)
    sides = ((train, train_labels), (test, test_labels))
    first, second = (Side(images[:, None], labels.astype(np.int64)) for images, labels in sides)
    return first, second


def _idx_files(base: str, *facts: tuple[int, str]) -> tuple[Remote, ...]:
    parts = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return tuple(Remote(f"{base}{part}-ubyte.gz", *fact) for part, fact in zip(parts, facts, strict=True))


_CIFAR_FILE = Remote(
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    170_052_171,
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
)
_MNIST_FILES = _idx_files(
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    (9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
    (28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
    (1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
    (4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
)
_FASHION_FILES = _idx_files(
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/"
    "b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion/",
    (26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
    (29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
    (4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
    (5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
)
NAMED: dict[str, Official | None] = {
    "digits": None,  # it comes with scikit-learn
    "cifar10": Official((_CIFAR_FILE,), read_cifar, _CIFAR_CLASSES),
    "mnist": Official(_MNIST_FILES, read_idx, _NUMERALS),
    "fashion-mnist": Official(_FASHION_FILES, read_idx, _CLOTHES),
}


def open_named(name: str, progress: Progress) -> Found:
    """A set of `NAMED`, and where its official validation side is (None: it has none)."""
    official = NAMED[name]
    return (_digits(), None) if official is None else _official(name, official, progress)


def _digits() -> ArraySource:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ResourceError("The digits come with scikit-learn: pip install scikit-learn.") from error
    data: Any = load_digits()
    levels = np.rint(data.images * (255 / 16)).astype(np.uint8)  # the scanner counted 0 to 16 dots
    return ArraySource(levels[:, None], data.target.astype(np.int64), _NUMERALS)


def _official(name: str, official: Official, progress: Progress) -> Found:
    """From the pack in the data folder; made from the official files when it is not there."""
    key = hashlib.sha256("".join(remote.sha256 for remote in official.remotes).encode()).hexdigest()
    out = data_folder() / name / f"{name}.pack"
    if not out.exists():
        with claimed(out) as part:
            if not out.exists():
                _pack(name, official, key, part, progress)
                publish(part, out)
    source, contents, _ = packed.open_pack(out)
    if contents.made_from != key:
        raise DataError(f"{out} was not made from the official files of {name}: delete it.")
    return source, contents.validation


def _pack(name: str, official: Official, key: str, part: Path, progress: Progress) -> None:
    paths = [fetch(remote, part.parent, progress) for remote in official.remotes]
    try:
        sides = official.read(paths)
    except (tarfile.TarError, zlib.error, EOFError, ValueError, struct.error) as error:
        raise DataError(f"The files of {name} are not what they should be ({error}).") from error
    images = np.concatenate([side.images for side in sides])
    labels = np.concatenate([side.labels for side in sides])
    if labels.max() >= len(official.class_names):
        raise DataError(f"{name} holds label {labels.max()} of {len(official.class_names)} classes.")
    make_room(part.parent, images.nbytes)
    counts = [len(side.labels) for side in sides]
    parts = zip(("train", "test"), counts, strict=True)
    contents = packed.Contents(
        name=name,
        image_shape=images.shape[1:],
        names=[f"{side}/{index:05d}" for side, count in parts for index in range(count)],
        labels=labels,
        class_names=official.class_names,
        validation=np.repeat([False, True], counts),
        made_from=key,
    )
    packed.write(part, contents, packed.chunked(images))


def _cifar_side(records: Pixels) -> Side:
    return Side(records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].astype(np.int64))


def _idx(path: Path) -> Pixels:
    """One gzipped IDX file of bytes: two zeros, type 8, rank, the sizes (big endian), the values."""
    with gzip.open(path) as file:
        data = file.read(_MOST + 1)
    if len(data) > _MOST or data[:3] != b"\0\0\x08":
        raise ValueError(f"{path.name} is no IDX file of bytes")
    rank = data[3]
    shape = struct.unpack(f">{rank}I", data[4 : 4 + 4 * rank])
    values = np.frombuffer(data, np.uint8, offset=4 + 4 * rank)
    if values.size != int(np.prod(shape)):
        raise ValueError(f"{path.name} holds {values.size:,} values instead of {shape}")
    return values.reshape(shape)
