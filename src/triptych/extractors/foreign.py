"""Extractors that the user brings: a module from Python, MODULE:NAME, or an exported graph.

The contract: float32 images (B, C, H, W) in [0, 1], channels, alpha and size as the data has them, in;
one float tensor (B, D) out, for any B, the features of each image following from that image alone.

A module that is named and a .pt2 file are code, and run with all of the user's rights: use only what
you trust. An .onnx graph is data.

Notation: B batch, C channels, H height, W width, D features.
"""

from __future__ import annotations

import copy
import hashlib
import importlib
import inspect
import re
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from triptych.errors import DataError, ResourceError, TriptychError, UsageError, package
from triptych.extractors import KNOWN, Extractor, Seen
from triptych.extractors.seeing import looking, sha256

GRAPHS = (".pt2", ".onnx")
CONTRACT = "an extractor takes float32 images (B, C, H, W) in [0, 1] and returns float features (B, D)"
Network = Callable[[Tensor], object]  # float32 (B, C, H, W) in [0, 1] -> what should be (B, D)


def from_module(module: nn.Module, device: torch.device, name: str = "") -> Extractor:
    """A module, as it is now: a copy in evaluation mode, so that later training changes nothing.

    `about` holds the SHA-256 of its class, its layers and its state.
    """
    digest = _fingerprint(module)
    name = name or type(module).__name__
    try:
        net = copy.deepcopy(module)
    except Exception as error:  # whatever the user's code holds
        raise UsageError(
            f"The extractor {name} cannot be copied ({_first(error)}): export it as a .pt2 file."
        ) from error
    return _extractor(name, digest, net.eval().requires_grad_(False).to(device), device)


def from_name(text: str, device: torch.device) -> Extractor:
    """PACKAGE.MODULE:NAME, where NAME is a module or a function without arguments that returns one.

    This imports and runs that code: name only what you trust. Raises a `UsageError` where there is none.
    """
    place, _, name = text.partition(":")
    try:
        found = importlib.import_module(place)
    except (ImportError, ValueError) as error:
        raise UsageError(
            f"The extractor {text!r} cannot be imported ({error}): put its folder on PYTHONPATH, or mend the name."
        ) from error
    if not hasattr(found, name):
        raise UsageError(f"{place} has no {name or 'empty name'!r} for an extractor: write PACKAGE.MODULE:NAME.")
    module = getattr(found, name)
    if not isinstance(module, nn.Module) and callable(module):
        module = module()
    if not isinstance(module, nn.Module):
        raise UsageError(f"{text} gives a {type(module).__name__}: it must be or return a torch.nn.Module.")
    return from_module(module, device, name)


def from_graph(path: Path, device: torch.device) -> Extractor:
    """A graph saved by torch.export (.pt2) or ONNX (.onnx, run on the CPU by onnxruntime).

    A .pt2 file is code: use only what you trust. Raises a `UsageError` for a file that is no graph.
    """
    if not path.is_file():
        raise UsageError(f"There is no extractor's graph {path}: name a file that ends in .pt2 or .onnx.")
    network = (_exported if path.suffix == ".pt2" else _onnx)(path, device)
    beside = sorted(path.parent.glob(f"{path.name}[._]data"))  # where ONNX keeps large weights
    return _extractor(path.stem, sha256([path, *beside]), network, device)


def _exported(path: Path, device: torch.device) -> Network:
    from torch.export.passes import move_to_device_pass

    try:
        program = torch.export.load(path)
    except Exception as error:  # the reader of archives raises many classes
        raise UsageError(f"{path} is not a graph of torch.export ({_first(error)}): export it again.") from error
    return move_to_device_pass(program, device).module()


def _onnx(path: Path, device: torch.device) -> Network:
    runtime = package("onnxruntime", "An extractor in ONNX", "onnx")
    try:
        session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime raises its own classes
        raise UsageError(f"{path} is not an ONNX graph ({_first(error)}): export it again.") from error
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1:
        count = f"{len(inputs)} inputs and {len(outputs)} outputs"
        raise UsageError(f"{path} has {count}: {CONTRACT}.")

    def network(x: Tensor) -> Tensor:
        (features,) = session.run(None, {inputs[0].name: x.cpu().numpy()})
        return torch.from_numpy(features)

    return network


def _extractor(name: str, digest: str, network: Network, device: torch.device) -> Extractor:
    name = re.sub(r"[^\w.-]+", "-", name)
    name = f"own-{name}" if name in (*KNOWN, "clip") else name  # its numbers are not those of the known one

    def see(images: Tensor) -> Seen:
        x = images.to(torch.float32) / 255
        try:
            output = network(x)
        except TriptychError:
            raise
        except torch.OutOfMemoryError as error:
            raise ResourceError(f"The extractor {name} needs more memory than there is: use another device.") from error
        except Exception as error:  # whatever the user's code raises
            raise UsageError(
                f"The extractor {name} fails on images of shape {tuple(x.shape)} ({_first(error)}): {CONTRACT}, "
                "for any B."
            ) from error
        return Seen(_checked(output, len(images), name))

    return Extractor(name, f"{name} {digest[:8]}, images as they are, in [0, 1]", looking(see, device))


def _checked(output: object, batch: int, name: str) -> Tensor:
    """The features, if they keep the contract."""
    if not isinstance(output, Tensor):
        raise UsageError(f"The extractor {name} returns a {type(output).__name__}: {CONTRACT}.")
    shape = tuple(output.shape)
    if output.ndim > 2 and len(output) == batch:
        raise UsageError(f"The extractor {name} returns features of shape {shape}: average or flatten them to (B, D).")
    if output.ndim != 2 or len(output) != batch or not output.shape[1]:
        raise UsageError(f"The extractor {name} returns shape {shape} for {batch} images: {CONTRACT}.")
    if not output.is_floating_point():
        dtype = str(output.dtype).removeprefix("torch.")
        raise UsageError(f"The extractor {name} returns {dtype} numbers: {CONTRACT}.")
    bad = ~output.isfinite().all(1)
    if bad.any():
        raise DataError(
            f"The extractor {name} returns numbers that are not finite for {int(bad.sum())} of {batch} images: "
            "look at its weights, or at how it divides."
        )
    return output


def _fingerprint(module: nn.Module) -> str:
    """The SHA-256 of a module's class with its source where there is one, its layers and its state."""
    kind = type(module)
    try:
        source = inspect.getsource(kind)
    except (OSError, TypeError):
        source = ""
    digest = hashlib.sha256("\x1f".join([kind.__module__, kind.__qualname__, source, repr(module)]).encode())
    for name, value in module.state_dict().items():
        if isinstance(value, Tensor):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        else:
            digest.update(f"{name} {value!r}".encode())
    return digest.hexdigest()


def _first(error: Exception) -> str:
    """The class and first line of a foreign failure."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
