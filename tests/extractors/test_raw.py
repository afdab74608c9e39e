"""The pixels as features."""

from __future__ import annotations

import pytest
import torch

from triptych.errors import UsageError
from triptych.extractors import extractor


def test_features_are_the_pixels() -> None:
    image = torch.tensor([[0, 51], [102, 255]], dtype=torch.uint8).view(1, 1, 2, 2)
    seen = extractor("pixels").look(image)
    torch.testing.assert_close(seen.features, torch.tensor([[0.0, 0.2, 0.4, 1.0]]))
    assert seen.logits is None


def test_colour_that_cannot_be_seen_counts_for_nothing() -> None:
    red, blue = torch.zeros(2, 1, 4, 2, 2, dtype=torch.uint8)
    red[:, 0], blue[:, 2] = 255, 255  # alpha is zero
    look = extractor("pixels").look
    assert torch.equal(look(red).features, look(blue).features)
    red[:, 3] = blue[:, 3] = 128
    assert not torch.equal(look(red).features, look(blue).features)


def test_large_images_are_refused_with_the_cure() -> None:
    look = extractor("pixels").look
    assert look(torch.zeros(1, 1, 64, 64, dtype=torch.uint8)).features.shape == (1, 4096)
    with pytest.raises(UsageError, match="at most 4,096 values"):
        look(torch.zeros(1, 1, 17, 241, dtype=torch.uint8))  # one more
    with pytest.raises(UsageError, match=r"3x72x72 = 15,552: use the extractor bundled"):
        look(torch.zeros(1, 3, 72, 72, dtype=torch.uint8))
