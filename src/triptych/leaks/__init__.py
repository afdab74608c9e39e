"""Does a model give its training images away? Copies, repeats, membership, and what to tell of them.

Notation of the package: B images asked about, N training images, K nearest of them, D features.
Distances in pixels are levels, from 0 to 255.
"""

from triptych.leaks.audit import Audit, audit, facts
from triptych.leaks.copies import Copies, too_few
from triptych.leaks.detector import Detector

__all__ = ["Audit", "Copies", "Detector", "audit", "facts", "too_few"]
