"""What a trained model makes of images: reconstructions, likelihoods, latents, and which it finds strange.

Notation of the room: N images of a source, M normal images, B batch, C channels, H W image sides;
x image in [-1, 1], z latent. Errors in pixels are levels, from 0 to 255.
"""

from triptych.insight.anomalies import Anomalies, anomalies, strangeness
from triptych.insight.asking import able, asked, over, own
from triptych.insight.editing import as_another, changed, mask_for, side_by_side
from triptych.insight.likelihood import Scored, log_likelihoods
from triptych.insight.reconstruction import encoder, reconstructed, threefold
from triptych.insight.restoration import opened, restored, taught
from triptych.insight.traversal import Spending, spending, strips

__all__ = [
    "Anomalies",
    "Scored",
    "Spending",
    "able",
    "anomalies",
    "as_another",
    "asked",
    "changed",
    "encoder",
    "log_likelihoods",
    "mask_for",
    "opened",
    "over",
    "own",
    "reconstructed",
    "restored",
    "side_by_side",
    "spending",
    "strangeness",
    "strips",
    "taught",
    "threefold",
]
