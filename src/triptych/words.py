"""Numbers, lists and names as people read them: 3.58M parameters, 412 MB, one, two and three."""

from __future__ import annotations

from typing import Any

_LARGE = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
_BYTES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def short(number: float, digits: int = 3) -> str:
    """So many significant digits, with k, M or G behind large numbers.

    >>> short(3_576_704), short(3_576_704, 2), short(812), short(0.03125, 2)
    ('3.58M', '3.6M', '812', '0.031')
    """
    for scale, suffix in _LARGE:
        if abs(number) >= scale:
            return _digits(number / scale, digits) + suffix
    return str(int(number)) if float(number).is_integer() else _digits(number, digits)


def size(count: float) -> str:
    """Bytes in decimal units.

    >>> size(412_300_000), size(1_250_000_000)
    ('412 MB', '1.25 GB')
    """
    for scale, unit in _BYTES:
        if count >= scale:
            return f"{_digits(count / scale, 3)} {unit}"
    return f"{count:.0f} B"


def _digits(value: float, digits: int) -> str:
    if abs(value) >= 1:
        return f"{value:.{max(0, digits - len(str(int(abs(value)))))}f}"
    return f"{value:.{digits}g}"


def join(words: list[str] | tuple[str, ...], last: str = "and") -> str:
    """A list as it is spoken.

    >>> join(["one", "two", "three"])
    'one, two and three'
    """
    return f" {last} ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def shown(name: str, keep: str = "") -> str:
    """A name that is safe to print: all but what is printable and `keep` is escaped.

    So no control character, direction mark or broken byte of a name reaches a terminal or a page.

    >>> shown("a\\nb")
    'a\\\\nb'
    """
    if name.isprintable():
        return name
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in name)


def quoted(value: Any, most: int = 80) -> str:
    """A value as a sentence quotes it, cut where it is long.

    >>> quoted("twelve"), quoted("12" * 20, 8)
    ("'twelve'", "'1212121...")
    """
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # such as a whole number of thousands of digits
        return f"a {type(value).__name__} that is too large to show"
    return text if len(text) <= most else text[:most] + "..."
