"""Words for amounts, read the same from the command line, Python and a recipe.

"2M" images, "10min" of training, a size of "48x64": each function takes the text or the number
itself and returns a checked number, or raises a `UsageError` that shows what it accepts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from triptych.errors import UsageError
from triptych.words import quoted

_SCALES = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000}
_OPERATIONS = _SCALES | {"t": 10**12, "p": 10**15}
_SECONDS = {"": 1.0, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_LARGEST = 2**53
_LONGEST = 64  # characters of an amount
_REAL = re.compile(r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf(?:inity)?)", re.ASCII)


def count(value: int | str, name: str, low: int = 1, high: int = _LARGEST) -> int:
    """A whole number such as 1500, "200_000", "1.5k" or "2M", within [low, high]."""
    match = re.fullmatch(r"([+-]?[0-9][0-9_]*(?:\.[0-9]+)?)([kmg]?)", _text(value), re.ASCII)
    number = float(match[1].replace("_", "")) * _SCALES[match[2]] if match else math.nan
    if isinstance(value, bool) or not number.is_integer() or not low <= number <= high:
        most = "" if high == _LARGEST else f" to {high}"
        raise UsageError(f"{name} is {quoted(value)}: give a whole number from {low}{most}, such as 1500, 20k or 2M.")
    return int(number)


def decimal(value: float | str, name: str, low: float, high: float) -> float:
    """A number such as 0.7 or "24", within [low, high]."""
    found = _real(value)
    if isinstance(value, bool) or not low <= found <= high:
        raise UsageError(f"{name} is {quoted(value)}: give a number from {low:g} to {high:g}.")
    return found


def share(value: float | str, name: str) -> float:
    """A part of a whole above 0 and below 1: 0.01 or "1%"."""
    text = _text(value)
    scale = 100 if text.endswith("%") else 1
    found = _real(text.removesuffix("%")) / scale
    if not 0 < found < 1:
        raise UsageError(f"{name} is {quoted(value)}: give a share above 0 and below 1, such as 0.01 or 1%.")
    return found


def whole_numbers(value: int | str | Iterable[int], name: str, most: int = 10_000) -> list[int]:
    """Whole numbers from zero on: "1,2,3", "0-7" (both ends count), "5,8-10", 4, or a list of numbers.

    Raises a `UsageError` for anything else, and for more than `most`.
    """
    found: list[int] = []
    for part in value.split(",") if isinstance(value, str) else _listed(value):
        match = re.fullmatch(r"([0-9]{1,15})(?:-([0-9]{1,15}))?", _text(part), re.ASCII)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not first <= last < first + most - len(found):
            raise UsageError(f"{name} is {quoted(value)}: give whole numbers such as 1,2,3 or 0-7, at most {most:,}.")
        found += range(first, last + 1)
    if not found:
        raise UsageError(f"{name} is empty: give whole numbers such as 1,2,3 or 0-7.")
    return found


def _listed(value: int | Iterable[int]) -> Iterable[int]:
    return value if isinstance(value, Iterable) else [value]


def seconds(value: float | str, name: str) -> float:
    """A positive span of time in seconds: 90, "90s", "10min", "1.5h", "1h30m", "2d"."""
    text = _text(value)
    parts = re.findall(r"([0-9]*\.?[0-9]+)([a-z]*)", text, re.ASCII)
    known = all(unit in _SECONDS for _, unit in parts)
    total = sum(float(number) * _SECONDS[unit] for number, unit in parts) if parts and known else math.nan
    if "".join(number + unit for number, unit in parts) != text or not 0 < total < math.inf:
        raise UsageError(f"{name} is {quoted(value)}: give a span of time above zero, such as 90s, 10min, 1h30m or 2d.")
    return total


def operations(value: float | str, name: str) -> float:
    """Floating-point operations above zero: 1e15, "1e15", "2.5P", "300T"."""
    match = re.fullmatch(r"([0-9]*\.?[0-9]+(?:e[+]?[0-9]+)?)([kmgtp]?)", _text(value), re.ASCII)
    number = float(match[1]) * _OPERATIONS[match[2]] if match else math.nan
    if not 0 < number < math.inf:
        raise UsageError(f"{name} is {quoted(value)}: give operations above zero, such as 1e15, 300T or 2.5P.")
    return number


def size(value: int | str | tuple[int, int], name: str) -> tuple[int, int]:
    """Pixels as (height, width) from 64, "64", "48x64" (height x width) or (48, 64); 1 to 4096 each."""
    sides = list(value) if isinstance(value, tuple) else re.split(r"[x×]", _text(value))
    if len(sides) not in (1, 2):
        raise UsageError(f"{name} is {quoted(value)}: give one side, such as 64, or height x width, such as 48x64.")
    numbers = [count(side, name, 1, 4096) for side in sides]
    return numbers[0], numbers[-1]


def clock(span: float) -> str:
    """A span of time for reading: 5 s, 3 min 20 s, 2 h 05 min."""
    whole = round(span)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _text(value: object) -> str:
    """What was given, in small letters; "" for what is too long for an amount."""
    try:
        text = str(value).strip().lower()
    except ValueError:  # a whole number of thousands of digits
        return ""
    return text if len(text) <= _LONGEST else ""


def _real(value: object) -> float:
    """The number that was given, in digits of ASCII; NaN where there is none."""
    if isinstance(value, str) and not _REAL.fullmatch(_text(value)):
        return math.nan
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return math.nan
