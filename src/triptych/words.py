"""Numbers and lists as people read them: 3.58M parameters, 412 MB, one, two and three."""

from __future__ import annotations

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
