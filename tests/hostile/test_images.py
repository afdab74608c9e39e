"""Image files that attack are refused by one sentence, quickly and in little memory."""

from __future__ import annotations

import pytest

from hostile.images import REFUSED, USED
from hostile.measured import bearable, measured, refused
from triptych.data.decode import decode, measure


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    _, data, part = REFUSED[name]
    assert len(data) < 400_000
    refused(lambda: decode(data), "Refused", part)


@pytest.mark.parametrize("name", USED)
def test_used_and_bounded(name: str) -> None:
    _, data, part = USED[name]
    outcome = measured(lambda: decode(data))
    assert outcome.error == "", outcome
    bearable(outcome)
    assert any(part in note for note in decode(data).notes) or not part


@pytest.mark.parametrize("name", REFUSED)
def test_measuring_is_as_careful(name: str) -> None:
    outcome = measured(lambda: measure(REFUSED[name][1]))
    assert outcome.error in ("", "Refused"), outcome
    bearable(outcome)
