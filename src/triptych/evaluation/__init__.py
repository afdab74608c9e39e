"""Images in, numbers out: what `evaluate`, `compare` and the scores of training are made of.

`reading` turns images into a `Summary`, `reference` keeps that of a data set for the next time,
`alike` sees that two sets have one shape, `judging` compares them, `skills` measures what else a
model can do.
"""

from triptych.evaluation.alike import opened, require_alike
from triptych.evaluation.judging import Evaluated, Judgement, Setting, Sides, judge, remarks
from triptych.evaluation.reading import even, generated, read, summarise
from triptych.evaluation.reference import reference
from triptych.evaluation.skills import HELD_OUT, TAUGHT, Skills, probe_of_pixels, skills

__all__ = [
    "HELD_OUT",
    "TAUGHT",
    "Evaluated",
    "Judgement",
    "Setting",
    "Sides",
    "Skills",
    "even",
    "generated",
    "judge",
    "opened",
    "probe_of_pixels",
    "read",
    "reference",
    "remarks",
    "require_alike",
    "skills",
    "summarise",
]
