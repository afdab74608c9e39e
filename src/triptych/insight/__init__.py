"""What a trained model makes of images: reconstructions, likelihoods, latents, and which it finds strange.

Notation of the room: N images of a source, M normal images, B batch, C channels, H W image sides;
x image in [-1, 1], z latent. Errors in pixels are levels, from 0 to 255.
"""

from triptych.insight.anomalies import Anomalies, anomalies, strangeness
from triptych.insight.asking import asked, over, own
from triptych.insight.likelihood import Scored, log_likelihoods
from triptych.insight.reconstruction import encoder, reconstructed, threefold
from triptych.insight.traversal import Spending, spending, strips

__all__ = [
    "Anomalies",
    "Scored",
    "Spending",
    "anomalies",
    "asked",
    "encoder",
    "log_likelihoods",
    "over",
    "own",
    "reconstructed",
    "spending",
    "strangeness",
    "strips",
    "threefold",
]
