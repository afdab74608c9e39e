"""`triptych pack`: decode, crop and resize a folder of images once, and say what became of each."""

from __future__ import annotations

from typing import Annotated

from triptych.flags import Flag
from triptych.screen import SCREEN, Screen
