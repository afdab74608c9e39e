"""Pages that need nothing but themselves: templates filled, every name escaped, images inside."""

from __future__ import annotations

import base64
import io
from functools import cache
from typing import Any

from torch import Tensor

from triptych.pixels import as_picture
from triptych.words import shown


@cache
def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("triptych", "report")
    return Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, loader=loader, finalize=_plain
    )


def _plain(value: Any) -> Any:
    """Text without control codes, direction marks and broken bytes; escaping the rest is the engine's work."""
    return shown(value, keep="\n") if type(value) is str else value


def render(template: str, **values: Any) -> str:
    """The page of a template beside this file; whatever a name holds, it is shown as text."""
    page: str = _environment().get_template(template).render(**values)
    return page


def data_uri(image: Tensor) -> str:
    """A uint8 image (C, H, W) as a PNG inside a data URI."""
    file = io.BytesIO()
    as_picture(image).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
