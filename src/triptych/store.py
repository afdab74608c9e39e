"""Run folders on disk: checkpoints of tensors and text, verified before use, never torn.

    RUN/recipe.yaml                 what is trained, on what, with every default written out
    RUN/metrics.jsonl               the log
    RUN/samples/000123456.png       grids at fixed seeds
    RUN/best/                       the weights with the best score so far: model, recipe, score.json, manifest
    RUN/diverged/                   where a step was not finite: a checkpoint from before it, and step.json
    RUN/at/000123456/               a checkpoint after so many images
        model.safetensors recipe.yaml           all that sampling needs
        state.safetensors state.json            all that training needs besides
        manifest.json                           size and SHA-256 of each file, written last

A checkpoint is written to the side, read back, and then renamed; older ones go only after that. Each
step is on the disk before the next, so that a power cut at any moment leaves a whole one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
from safetensors.torch import load_file, save_file
from torch import Tensor, float16, float32

from triptych import durable, recipe, schema, zoo
from triptych.core import Model, Objective
from triptych.errors import CheckpointError, ResourceError
from triptych.intake import json_of, text_of
from triptych.training.state import not_finite, under
from triptych.words import shown

FORMAT = 2  # 1 had no seal
BEFORE = ".before"
MOST_HEADER = 2**24  # bytes in which a safetensors file lists its tensors
FOR_SAMPLING = ("model.safetensors", "recipe.yaml")
FOR_TRAINING = (*FOR_SAMPLING, "state.safetensors", "state.json")


def checkpoints(run: Path) -> list[Path]:
    """The checkpoint folders of a run, oldest first."""
    folder = run / "at"
    found = [entry for entry in folder.iterdir() if entry.name.isdigit()] if folder.is_dir() else []
    return sorted(found, key=lambda entry: int(entry.name))


def save(run: Path, seen: int, tree: Mapping[str, Any], tensors: Mapping[str, Mapping[str, Tensor]],
         state: Mapping[str, Any], keep: int = 2) -> Path:  # fmt: skip
    """Write the checkpoint of `seen` images and drop all older ones but the newest, so that `keep` are left.

    `tensors` holds the contents of "model" and "state". Raises a `ResourceError` where the disk
    does not take it; what was there before is then untouched. Later ones, which can only be
    damaged ones that were passed over, do not count.
    """
    final = run / "at" / f"{seen:012d}"
    _publish(final, seen, tree, tensors, {"state.json": state})
    for old in [path for path in checkpoints(run) if int(path.name) <= seen][:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def forget_newest(run: Path) -> None:
    """Drop the newest checkpoint where there is an older one."""
    *older, newest = checkpoints(run)
    if older:
        shutil.rmtree(newest)


def save_best(run: Path, seen: int, tree: Mapping[str, Any], model: Mapping[str, Tensor],
              score: Mapping[str, Any]) -> Path:  # fmt: skip
    """Keep these weights as the best of the run, beside its last ones, with the score that says so."""
    final = run / "best"
    _publish(final, seen, tree, {"model": model}, {"score.json": score})
    return final


def save_diverged(run: Path, seen: int, tree: Mapping[str, Any], tensors: Mapping[str, Mapping[str, Tensor]],
                  state: Mapping[str, Any], step: Mapping[str, Any]) -> Path:  # fmt: skip
    """Keep what a step began with that could not be played to its end, and what is known of it, for a replay."""
    final = run / "diverged"
    _publish(final, seen, tree, tensors, {"state.json": state, "step.json": step})
    return final


def best_score(run: Path) -> float | None:
    """The score of RUN/best; None where there is none."""
    try:
        return float(json_of(text_of(run / "best" / "score.json"))["value"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None


def _publish(final: Path, seen: int, tree: Mapping[str, Any], tensors: Mapping[str, Mapping[str, Tensor]],
             texts: Mapping[str, Mapping[str, Any]]) -> None:  # fmt: skip
    """Write a checkpoint folder to the side, read it back, and give it its name."""
    aside, before = durable.aside(final), _before(final)
    try:
        shutil.rmtree(aside, ignore_errors=True)
        durable.make_folder(aside)
        for name, group in tensors.items():
            flat = {key: t.detach().cpu().contiguous().clone() for key, t in group.items()}
            save_file(flat, aside / f"{name}.safetensors")
        (aside / "recipe.yaml").write_text(recipe.write(tree), encoding="utf-8")
        for name, values in texts.items():
            (aside / name).write_text(json.dumps(values, indent=1), encoding="utf-8")
        _seal(aside, seen)
        verify(aside, tuple(path.name for path in aside.iterdir() if path.name != "manifest.json"))
        if final.exists():
            shutil.rmtree(before, ignore_errors=True)
            os.replace(final, before)
        os.replace(aside, final)
        durable.flush(final.parent)
        shutil.rmtree(before, ignore_errors=True)
    except (OSError, safetensors.SafetensorError) as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise ResourceError(
            f"The checkpoint {final} could not be written ({error}); free some disk space and run the "
            "same line again: the checkpoints before it are whole."
        ) from error


def tidy(run: Path) -> None:
    """Remove what a killed process left half-written; what it was about to replace gets its name back."""
    for before in (*(run / "at").glob(f".*{BEFORE}"), *run.glob(f".*{BEFORE}")):
        final = before.with_name(before.name.removeprefix(".").removesuffix(BEFORE))
        if not final.exists():
            os.replace(before, final)
        shutil.rmtree(before, ignore_errors=True)
    for leftover in (*run.glob(durable.PARTS), *run.glob(f"at/{durable.PARTS}"), *run.glob(f"samples/{durable.PARTS}")):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def _before(final: Path) -> Path:
    """Where a folder waits until the one that replaces it has its name."""
    return final.with_name(f".{final.name}{BEFORE}")


def newest(run: Path) -> tuple[Path | None, list[str]]:
    """The newest checkpoint that is whole, and a sentence for each newer one that is not.

    Raises a `CheckpointError` where there are checkpoints and all are damaged.
    """
    complaints: list[str] = []
    for checkpoint in reversed(checkpoints(run)):
        try:
            verify(checkpoint, FOR_TRAINING)
            return checkpoint, complaints
        except CheckpointError as error:
            complaints.append(str(error))
    if complaints:
        raise CheckpointError(f"{complaints[0]} No whole checkpoint is left in {run}: train into a new folder.")
    return None, []


def verify(checkpoint: Path, names: tuple[str, ...]) -> None:
    """Compare files with the manifest, size first; raises a `CheckpointError` that names the file."""
    listed = _manifest(checkpoint)
    for name in names:
        path, entry = checkpoint / name, listed.get(name)
        if not isinstance(entry, dict) or not path.is_file():
            raise CheckpointError(f"{path} is missing. {_way_out(checkpoint)}")
        size = path.stat().st_size
        if size != entry.get("bytes"):
            raise CheckpointError(f"{path} has {size} bytes, not {entry.get('bytes')}. {_way_out(checkpoint)}")
        if _digest(path) != entry.get("sha256"):
            raise CheckpointError(f"{path} has changed since it was written. {_way_out(checkpoint)}")


def read_state(checkpoint: Path) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Any]]:
    """The tensors of the shown model, those of training, and the counters of a verified checkpoint."""
    try:
        counters = dict(json_of(text_of(checkpoint / "state.json")))
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"{checkpoint / 'state.json'} holds no counters. {_way_out(checkpoint)}") from error
    return _tensors(checkpoint / "model.safetensors"), _tensors(checkpoint / "state.safetensors"), counters


def locate(path: str | Path) -> Path:
    """The checkpoint folder that `path` means: itself, the newest of a run folder, or that of the zoo."""
    path = zoo.place(path)
    if (path / "manifest.json").is_file() or (path / "model.safetensors").is_file():
        return path
    found = checkpoints(path)
    if not found:
        what = "holds no checkpoint yet" if path.is_dir() else "does not exist"
        raise CheckpointError(f"{path} {what}; give a run folder of 'triptych train', or a folder of its at/.")
    return found[-1]


def read_recipe(path: str | Path) -> dict[str, Any]:
    """The recipe of a run or checkpoint, verified."""
    checkpoint = locate(path)
    verify(checkpoint, ("recipe.yaml",))
    return recipe.read_file(checkpoint / "recipe.yaml")


def load(path: str | Path, device: Any = "cpu") -> Model:
    """The model of a run or checkpoint folder, with averaged weights, ready to sample.

    Reads text and tensors only and checks their hashes; raises a `CheckpointError` (exit code 4)
    that names the damaged or foreign file and the way out. The recipe is at `model.recipe`.
    """
    checkpoint = locate(path)
    verify(checkpoint, FOR_SAMPLING)
    model: Model = _built("model", checkpoint, _tensors(checkpoint / "model.safetensors"), device)
    return model


def load_objective(path: str | Path, device: Any = "cpu") -> Objective:
    """What a run was trained by, with its weights: critics and all that dies with training. Raises as `load` does."""
    checkpoint = locate(path)
    verify(checkpoint, FOR_TRAINING)
    held = under(_tensors(checkpoint / "state.safetensors"), "objective/")
    objective: Objective = _built("objective", checkpoint, held, device)
    return objective


def _built(role: str, checkpoint: Path, tensors: Mapping[str, Tensor], device: Any) -> Any:
    """The recipe's object with these weights, in eval mode, nothing of it moving."""
    from triptych.devices import pick

    try:
        tree = recipe.read_file(checkpoint / "recipe.yaml")
        node = schema.complete_node(role, tree[role], role)  # values that are newer than the checkpoint: their defaults
        module = schema.build(role, node, facts(tree, role))
        module.load_state_dict(tensors)
        _same_kinds(module.state_dict(), tensors)
    except Exception as error:  # numbers that nobody meant make a constructor raise anything
        detail = shown(" ".join(str(error).split()) or type(error).__name__)[:500]
        raise CheckpointError(f"{checkpoint} does not fit this version: {detail}. {_way_out(checkpoint)}") from error
    module.recipe = tree
    return module.eval().requires_grad_(False).to(pick(str(device)))


def _same_kinds(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Raises a `ValueError` for tensors of another kind of number, which torch would convert in silence.

    Half precision is exact in single precision, and is what the zoo is packed in.
    """
    for name, tensor in found.items():
        if tensor.dtype != wanted[name].dtype and (tensor.dtype, wanted[name].dtype) != (float16, float32):
            raise ValueError(f"{name} holds {tensor.dtype} and not {wanted[name].dtype}")


def facts(tree: Mapping[str, Any], role: str = "model") -> dict[str, Any]:
    """What constructors are told of the data: the image's shape, and how many classes there are.

    An objective is told only of the classes that its model is asked for: none where it is not conditional.
    """
    told = role == "model" or tree["model"].get("conditional", False)
    return {
        "image_shape": tuple(tree["data"]["image_shape"]),
        "classes": len(tree["data"]["class_names"]) if told else 0,
    }


def _seal(folder: Path, seen: int) -> None:
    """Write the manifest of a folder, last, and push all to the disk."""
    from triptych import __version__

    listed = {}
    for path in sorted(folder.iterdir()):
        durable.flush(path)
        listed[path.name] = {"bytes": path.stat().st_size, "sha256": _digest(path)}
    manifest = {"format": FORMAT, "triptych": __version__, "seen": seen, "files": listed}
    durable.write(folder / "manifest.json", durable.sealed(manifest))


def _manifest(checkpoint: Path) -> dict[str, Any]:
    path = checkpoint / "manifest.json"
    try:
        text = text_of(path)
        manifest = json_of(text)
        sealed = durable.is_sealed(text) if "seal" in manifest else manifest["format"] == 1
        if sealed and manifest["format"] not in (1, FORMAT):
            raise CheckpointError(f"{path} was written by triptych {manifest['triptych']}; install that version.")
        files = dict(manifest["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is missing or is no manifest. {_way_out(checkpoint)}") from error
    if not sealed:
        raise CheckpointError(f"{path} has changed since it was written. {_way_out(checkpoint)}")
    return files


def _way_out(checkpoint: Path) -> str:
    """The newest other checkpoint beside a damaged one."""
    others = [other for other in checkpoints(checkpoint.parent.parent) if other.name != checkpoint.name]
    return f"Use {others[-1]} instead." if others else "Bring the folder back from a copy, or train again."


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        with path.open("rb") as file:
            header = int.from_bytes(file.read(8), "little")
        if header > MOST_HEADER:
            raise ValueError(f"its header claims {header:,} bytes, more than the {MOST_HEADER:,} that are read")
        tensors = dict(load_file(path))
    except (OSError, ValueError, RuntimeError, TypeError, safetensors.SafetensorError) as error:
        reason = shown(str(error))[:300]
        raise CheckpointError(f"{path} is no safetensors file ({reason}). {_way_out(path.parent)}") from error
    if wrong := not_finite(tensors):
        raise CheckpointError(f"{path} holds numbers that are not finite, in {wrong}. {_way_out(path.parent)}")
    return tensors


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
