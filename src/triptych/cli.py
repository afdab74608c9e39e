"""`triptych <command> ...`: each command is one function, and its signature is its flags.

Every command takes `--json` (one JSON object on standard output) and `--quiet`. Errors are one
sentence on standard error and an exit code: 2 usage, 3 data, 4 checkpoint, 5 resource, 6 numbers,
7 another process of a run.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from types import SimpleNamespace
from typing import Any, NoReturn, get_args, get_type_hints

from triptych import __version__
from triptych.errors import TriptychError, UsageError, explained, nearest
from triptych.flags import Flag
from triptych.place import place
from triptych.screen import Screen
from triptych.words import shown

COMMANDS = {  # the order of the help text is the order of use
    "models": "the catalogue: names, families, parameters, papers, abilities",
    "pack": "decode, crop and resize a folder of images once",
    "plan": "what a training will take: time, memory, disk",
    "train": "train a model on images; the same line again resumes",
    "replay": "the step again at which a training diverged",
    "sample": "new images from a trained model",
    "encode": "the features of images, from a model that encodes",
    "probe": "how much of the class a model's features hold, beside pixels and PCA",
    "neighbours": "the images of a data set that a model finds most like yours",
    "attribute": "images made more like a class, along a model's latents",
    "reconstruct": "images encoded and decoded again, with what is lost",
    "score": "how probable a model finds each image",
    "anomalies": "which images a model finds strange, as a page",
    "traverse": "what each latent does, ordered by what it spends",
    "edit": "images made anew from themselves, or as another class",
    "inpaint": "a part of an image made to fit the rest",
    "upscale": "small images made large, by a model taught to",
    "colorize": "grey images given colours, by a model taught to",
    "diffuse": "how images become noise",
    "schedule": "noise levels for a few steps, fitted to a model",
    "interpolate": "a walk through the images of some seeds or between photographs",
    "invert": "real images as styles of a model",
    "directions": "what a model's styles mean, found without labels",
    "evaluate": "score generated images, whoever made them, against real ones",
    "privacy": "does a model copy its training images? with controls",
    "compare": "train several models under one budget and write a report",
    "card": "what a trained model is and how good it is, as Markdown",
    "doctor": "what works on this machine and what is missing",
}


class Parser(argparse.ArgumentParser):
    """argparse, but a mistake is a `UsageError` like any other."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see '{self.prog} --help').")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return run(words)
    except TriptychError as error:
        return fail(error, words)
    except KeyboardInterrupt as stop:
        print("Stopped at once; what was saved before is whole.", file=sys.stderr)
        return 128 + int(stop.args[0] if stop.args else signal.SIGINT)
    except BrokenPipeError:
        return 141
    except (OSError, MemoryError, RuntimeError) as error:
        known = explained(error)
        if known is None:
            raise
        return fail(known, words)


def run(words: Sequence[str]) -> int:
    """Read the words, call the command, print what it returned."""
    if not words or words[0] in ("-h", "--help", "--version"):
        parser = overview()
        parser.parse_args(words)
        parser.print_help()
        return 0
    name, rest = words[0], words[1:]
    if name not in COMMANDS:
        raise UsageError(f"there is no command {name!r}; {nearest(name, COMMANDS)}")
    if name != "train" and place().world > 1 and "TORCHELASTIC_RUN_ID" in os.environ:
        raise UsageError(
            f"torchrun starts {place().world} processes, but {name!r} is the work of one; leave torchrun out."
        )
    command = getattr(import_module(f"triptych.commands.{name}"), name)
    values = vars(parser_of(name, command).parse_args(rest))
    as_json = values.pop("json")
    screen = Screen(quiet=values.pop("quiet"))
    result = command(**values, screen=screen)
    if as_json and place().leads:
        print(json.dumps(plain(result)))
    return 0


def fail(error: TriptychError, words: Sequence[str]) -> int:
    """Say what went wrong: a sentence for people, and an object for scripts that asked for one."""
    if str(error):  # else another process of the run has said it
        print("error: " + shown(str(error), keep="\n"), file=sys.stderr)
    if "--json" in words and place().leads:
        print(json.dumps({"error": str(error), "code": error.code}))
    return error.code


def overview() -> argparse.ArgumentParser:
    """The help text of `triptych` itself; imports no command."""
    lines = [f"  {name:12}{text}" for name, text in COMMANDS.items()]
    parser = Parser(
        prog="triptych",
        usage="triptych COMMAND ...",
        description="GAN, VAE and diffusion side by side: train, sample, encode and compare.",
        epilog="\n".join(["commands:", *lines, "", "'triptych COMMAND --help' says what a command takes."]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"triptych {__version__}")
    return parser


def parser_of(name: str, command: Callable[..., Any]) -> argparse.ArgumentParser:
    """The flags of one command, read from its signature."""
    parser = Parser(prog=f"triptych {name}", description=inspect.getdoc(command), allow_abbrev=False)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    hints = parameter_types(command)
    for parameter in inspect.signature(command).parameters.values():
        marks = [mark for mark in get_args(hints[parameter.name]) if isinstance(mark, Flag)]
        if marks:
            add_flag(parser, parameter, marks[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    parser.add_argument("--quiet", action="store_true", help="no progress, no sentences")
    return parser


def parameter_types(command: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of the parameters alone: what a command returns may not be imported yet."""
    written = {name: text for name, text in command.__annotations__.items() if name != "return"}
    names = vars(sys.modules[command.__module__])
    return get_type_hints(SimpleNamespace(__annotations__=written), names, include_extras=True)


def add_flag(parser: argparse.ArgumentParser, parameter: inspect.Parameter, flag: Flag) -> None:
    """One parameter of a command as one argument of its parser."""
    required = parameter.default is inspect.Parameter.empty
    shown = "" if required or parameter.default in (None, False, ()) else f" (default: {parameter.default})"
    about: dict[str, Any] = {"help": (flag.help + shown).replace("%", "%%")}
    if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
        about["metavar"] = flag.metavar or parameter.name.upper()
        if flag.several:
            about["nargs"] = "+"
        elif not required:
            about |= {"nargs": "?", "default": parameter.default}
        parser.add_argument(parameter.name, **about)
        return
    names = flag.names or (f"--{parameter.name.replace('_', '-')}",)
    about |= {"dest": parameter.name, "default": parameter.default, "required": required}
    if parameter.default is False:
        about["action"] = "store_true"
    elif flag.many:
        about |= {"action": "append", "metavar": flag.metavar, "default": []}
    else:
        about["metavar"] = flag.metavar or names[0].lstrip("-").upper()
        about |= {"nargs": "+"} if flag.several else {}
    parser.add_argument(*names, **about)


def plain(value: Any) -> Any:
    """A result as JSON: named tuples become objects, arrays their shape and type, paths text."""
    if hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "shape") and hasattr(value, "dtype") and value.shape:
        return {"shape": list(value.shape), "dtype": str(value.dtype)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)
