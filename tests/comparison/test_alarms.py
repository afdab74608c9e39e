"""The monitors fire where they should and are silent elsewhere."""

from __future__ import annotations

from triptych.comparison.alarms import alarms
from triptych.metrics.estimate import Estimate, Score

CALM = [{"seen": n, "seconds": n, "step/loss": 1.0, "step/held_out": 1.0, "score/FD-bundled": 9.0} for n in range(20)]


def test_a_calm_run_raises_none() -> None:
    covered = Score("coverage", "coverage", "higher", Estimate(0.8, 0.7, 0.9))
    assert alarms(CALM, [covered]) == []
    assert alarms([], []) == []


def test_each_monitor_fires() -> None:
    log = [dict(line) for line in CALM]
    log[-1]["score/FD-bundled"] = 20.0
    assert "got worse again" in alarms(log, [])[0]
    log = [dict(line) for line in CALM]
    log[-1]["step/held_out"] = 1.5
    assert "held-out images rose from 1 to 1.5" in alarms(log, [])[0]
    log = [dict(line) for line in CALM]
    log[10]["step/loss"] = -50.0
    assert "loss jumped to 50" in alarms(log, [])[0]
    narrow = Score("coverage", "coverage", "higher", Estimate(0.04, 0.03, 0.05))
    assert alarms([], [narrow]) == ["its samples come near to only 4% of the real images"]


def test_a_score_that_was_refused_is_no_alarm() -> None:
    assert alarms([], [Score("coverage", "coverage", "higher", None, "too few")]) == []
