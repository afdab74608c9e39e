"""Reference statistics: what an extractor sees in a data set, kept for the next time.

A file of the data folder holds the tensors of one `Summary` and says in its header which images and
which extractor it belongs to. A file that says something else, or that is damaged, is made anew.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from triptych.core import Source
from triptych.data.places import data_folder
from triptych.evaluation.reading import Progress, read, summarise, unwatched
from triptych.extractors import Extractor
from triptych.metrics.moments import Moments
from triptych.metrics.summary import MOST, Rows, Summary

FORMAT = 1
Note = Callable[[str], None]
Facts = Mapping[str, str]


def quiet(sentence: str) -> None:
    """Nobody listens."""


class UnusableError(Exception):
    """Within this file: why a file of statistics is not what is wanted."""


def reference(
    source: Source, split: str, look: Extractor, note: Note = quiet, progress: Progress = unwatched
) -> Summary:
    """The summary of all images of a source, read from the data folder if it was made before.

    `split` names the side of the data in the file's name; what the file belongs to follows from the
    fingerprint of the images and from the extractor's `about`. `note` is given a sentence where a
    file could not be used, or not be written. Raises a `DataError` where there are no images.
    """
    facts = {
        "format": str(FORMAT),
        "fingerprint": source.fingerprint,
        "extractor": look.about,
        "images": str(len(source)),
        "most": str(MOST),
    }
    path = place(source, split, look)
    if path.exists():
        try:
            return _load(path, facts)
        except UnusableError as reason:
            note(f"The reference statistics {path} {reason}: they are made anew.")
    made = summarise(read(source), look, progress=progress)
    try:
        _save(path, made, facts)
    except (OSError, SafetensorError) as error:
        note(f"The reference statistics {path} could not be written ({error}): the next evaluation makes them again.")
    return made


def place(source: Source, split: str, look: Extractor) -> Path:
    """The file of a source's statistics."""
    whose = hashlib.sha256(look.about.encode()).hexdigest()[:12]
    return data_folder() / "statistics" / f"{source.fingerprint[:12]}-{split}-{whose}.safetensors"


def _load(path: Path, facts: Facts) -> Summary:
    try:
        with safe_open(path, framework="pt") as file:
            said = file.metadata() or {}
            for key, value in facts.items():
                if said.get(key) != value:
                    raise UnusableError(f"belong to another {key}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if said.get("digest") != _digest(tensors):
            raise UnusableError("have changed since they were written")
        rows = Rows(tensors["index"], tensors["features"], tensors.get("logits"), tensors.get("labels"))
        moments = Moments(int(facts["images"]), tensors["mean"], tensors["scatter"])
    except (OSError, SafetensorError, KeyError) as error:
        raise UnusableError(f"are damaged ({' '.join(str(error).split())})") from error
    return Summary(facts["extractor"], moments, rows, int(facts["most"]))


def _save(path: Path, made: Summary, facts: Facts) -> None:
    tensors = {"mean": made.moments.mean, "scatter": made.moments.scatter, **made.rows._asdict()}
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items() if tensor is not None}
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        save_file(tensors, aside, {**facts, "digest": _digest(tensors)})
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """The SHA-256 of tensors with their names."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        total.update(f"{name} {tuple(tensors[name].shape)}".encode())
        total.update(tensors[name].contiguous().numpy().data)
    return total.hexdigest()
