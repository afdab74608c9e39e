"""Alarms are the signs of the log, and what the samples show."""

from __future__ import annotations

from triptych.comparison.alarms import alarms
from triptych.metrics.estimate import Estimate, Score


def test_a_calm_run_raises_none() -> None:
    covered = Score("coverage", "coverage", "higher", Estimate(0.8, 0.7, 0.9))
    assert alarms([{"seen": n, "seconds": n, "step/loss": 1.0} for n in range(20)], [covered]) == []
    assert alarms([], []) == []


def test_what_the_log_and_the_samples_show_is_said() -> None:
    narrow = Score("coverage", "coverage", "higher", Estimate(0.04, 0.03, 0.05))
    log = [{"samples/variety": 0.1}, {"samples/variety": 0.1}]
    assert alarms(log, [narrow]) == [
        "samples of different seeds are alike: they vary 0.1 times as much as real images",
        "its samples come near to only 4% of the real images",
    ]


def test_a_score_that_was_refused_is_no_alarm() -> None:
    assert alarms([], [Score("coverage", "coverage", "higher", None, "too few")]) == []
