"""Training on several processes: rows of one batch, and a crew of which each process knows how the others are.

`rows` is what the rest of the tree asks; with one process all of it does nothing. `joining` makes the crew.
"""

from triptych.ranks.crew import Crew
from triptych.ranks.layers import gathered
from triptych.ranks.rows import (
    Gradients,
    aside,
    averaged,
    compare,
    count,
    divided,
    draw,
    first,
    in_turn,
    leads,
    logged,
    most,
    on_each,
    own,
    piece,
    pieces,
    weight,
    whole,
)
from triptych.ranks.shards import KEPT_BY_ALL, Shards, crew_for

__all__ = [
    "KEPT_BY_ALL",
    "Crew",
    "Gradients",
    "Shards",
    "aside",
    "averaged",
    "compare",
    "count",
    "crew_for",
    "divided",
    "draw",
    "first",
    "gathered",
    "in_turn",
    "leads",
    "logged",
    "most",
    "on_each",
    "own",
    "piece",
    "pieces",
    "weight",
    "whole",
]
