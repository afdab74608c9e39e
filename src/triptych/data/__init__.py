"""Data: from folders, zips, arrays and official files to uint8 sources and endless float streams.

Files are decoded by the rules of `decode`, brought to one size by `fit`, and kept in a `pack`; a
`Stream` cuts batches from it. The doors are `open_data`, `pack` and `Stream`. They are imported when
they are first used, so that the child processes of `worker` need no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from triptych.data.opening import Splits, open_data, pack
    from triptych.data.packed import verify
    from triptych.data.packing import PackReport
    from triptych.data.places import data_folder
    from triptych.data.sets import NAMED
    from triptych.data.stream import Stream

_HOMES = {
    "NAMED": "sets",
    "PackReport": "packing",
    "Splits": "opening",
    "Stream": "stream",
    "data_folder": "places",
    "open_data": "opening",
    "pack": "opening",
    "verify": "packed",
}
__all__ = ["NAMED", "PackReport", "Splits", "Stream", "data_folder", "open_data", "pack", "verify"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'triptych.data' has no attribute {name!r}")
    return getattr(import_module(f"triptych.data.{_HOMES[name]}"), name)
