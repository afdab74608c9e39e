"""Charts: everything inside its frame, axes that rise, and no label on another."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest

from constructed import entries, frechet
from triptych.report import ClassRow, Entry, Point, Speed, Trial
from triptych.report.charts import learning, speed
from triptych.report.drawing import MARKS, SHAPES, Chart
from triptych.report.labels import LONGEST, Box, Label, around, beside, width
from triptych.report.scales import Axis, axis
from triptych.report.strips import CLASSES, classes, stability


def charts() -> list[Chart]:
    return [*learning(entries()), *speed(entries())]


def crowd(count: int = 8) -> list[Entry]:
    """Models that end at nearly the same place."""
    names = [f"a model with a name of some length {k}" for k in range(count)]
    curves = [[Point(t, int(t), 100 / t + 0.01 * k) for t in range(1, 20)] for k in range(count)]
    scored = [Trial(0, curve, [frechet(10 + 0.01 * k)]) for k, curve in enumerate(curves)]
    return [
        Entry(name, "", "", milliseconds=1 + 0.01 * k, trials=[trial])
        for k, (name, trial) in enumerate(zip(names, scored, strict=True))
    ]


@pytest.mark.parametrize("results", [entries(), crowd()], ids=["three", "crowd"])
def test_points_and_words_are_inside_and_apart(results: list[Entry]) -> None:
    drawn = [*learning(results), *speed(results)]
    assert [chart.shape for chart in drawn] == [*SHAPES, *SHAPES]
    for chart in drawn:
        wide, high = chart.shape.width, chart.shape.height
        for trace in chart.traces:
            ends = [place for whisker in trace.whiskers for place in whisker]
            for x, y in [*trace.line, *trace.band, *ends]:
                assert 0 <= x <= wide
                assert 0 <= y <= high
        for one, other in combinations([*chart.names, *chart.words], 2):
            assert not one.box.meets(other.box), (one, other)
        for label in [*chart.names, *chart.words]:
            assert label.box.within(Box(0, -4, wide + chart.room, high))


def test_lower_scores_are_lower_and_later_points_further_right() -> None:
    for chart in charts():
        for trace in chart.traces:
            assert all(x < u for (x, _), (u, _) in pairwise(trace.line))
        assert [x for x, _ in chart.x_ticks] == sorted({x for x, _ in chart.x_ticks})
        assert [y for y, _ in chart.y_ticks] == sorted({y for y, _ in chart.y_ticks}, reverse=True)
    (chart, _) = learning(entries())
    ends = {label.text: label.point[1] for label in chart.names}
    assert ends["patient"] > ends["rapid"] > ends["encoding"]  # y is downwards


def test_a_curve_is_the_mean_of_its_seeds_on_their_common_time() -> None:
    trials = [
        Trial(0, [Point(0.0, 0, 10.0), Point(10.0, 1, 30.0)]),
        Trial(1, [Point(5.0, 0, 40.0), Point(10.0, 1, 50.0)]),
        Trial(2, [Point(0.0, 0, 999.0)], failure="it broke"),
    ]
    (chart, _) = learning([Entry("a", "", "", trials=trials)])
    assert "from 30 at 5 to 40 at 10" in chart.alt  # (20 + 40) / 2, then (30 + 50) / 2
    assert len(chart.traces[0].line) == 2
    assert len(chart.traces[0].band) == 4


@pytest.mark.parametrize(("seconds", "title"), [(45, "seconds"), (1200, "minutes"), (40_000, "hours")])
def test_time_has_a_unit_that_fits(seconds: float, title: str) -> None:
    trial = Trial(0, [Point(seconds / 2, 1, 9.0), Point(seconds, 2, 5.0)])
    (chart, _) = learning([Entry("a", "", "", trials=[trial])])
    assert chart.x_title == f"{title} of training"


def test_speed_settings_are_joined_and_named() -> None:
    (chart, _) = speed(entries())
    assert [len(trace.line) for trace in chart.traces] == [1, 1, 6]
    assert {label.text for label in chart.words} == {f"steps {n}" for n in (1, 2, 5, 10, 25, 50)}
    assert [len(trace.whiskers) for trace in chart.traces] == [1, 1, 6]
    unscored = Entry("a", "", "", milliseconds=1.0, speeds=[Speed("steps 1", 1.0, None)])
    assert speed([unscored]) == []
    assert learning([unscored]) == []


@pytest.mark.parametrize("values", [(1.0, 2.0), (0.03, 31.0), (5.0, 5.0), (-3.0, 40.0), (1e-9, 1e9), (15.1, 71.0)])
def test_axes_hold_their_values_and_have_round_ticks(values: tuple[float, float]) -> None:
    for log in (None, False, *([True] if values[0] > 0 else [])):
        found = axis(values, log)
        assert 0 <= found.at(values[0]) <= found.at(values[1]) <= 1
        places = [place for place, _ in found.ticks()]
        assert 2 <= len(places) <= 8
        assert all(-1e-9 <= place <= 1 + 1e-9 for place in places)
        assert all(a < b for a, b in pairwise(places))
        assert len({label for _, label in found.ticks()}) == len(places)


def test_an_axis_is_logarithmic_where_values_span_much() -> None:
    assert axis([15.0, 300.0]).log
    assert not axis([15.0, 30.0]).log
    assert not axis([-1.0, 300.0]).log
    assert Axis(1, 100, log=True).at(10) == pytest.approx(0.5)
    assert [label for _, label in Axis(0.5, 2e4, log=True).ticks()] == ["1", "10", "100", "1k", "10k"]


def test_a_label_finds_room_or_is_left_out() -> None:
    frame = Box(0, 0, 100, 100)
    first = beside("name", (20.0, 50.0), [], [], frame)
    second = beside("name", (20.0, 50.0), [first.box], [frame], frame)
    assert not first.box.meets(second.box)
    assert around("steps 5", (50.0, 50.0), [frame], frame) is None
    assert isinstance(around("steps 5", (50.0, 50.0), [], frame), Label)
    assert len(beside("x" * 99, (0.0, 50.0), [], [], frame).text) == LONGEST
    assert width("漢字") > width("ab")


def test_stability_has_a_mark_for_each_seed() -> None:
    failed = entries()[1]
    trials = [*failed.trials[:2], Trial(2, failure="the loss is not a number")]
    found = stability([entries()[0], failed._replace(trials=trials)], "frechet")
    assert found
    first, second = found.strips
    assert [len(strip.dots) for strip in found.strips] == [3, 2]
    assert all(0 <= first.low <= dot <= first.high <= 100 for dot in first.dots)
    assert first.dots[0] < first.dots[2] < first.dots[1] < second.dots[0]  # 33.1, 36.2, 41.8, 58.3
    assert second.words == "1 of 3 seeds failed"
    assert second.trouble == ["seed 2 failed: the loss is not a number"]
    assert first.trouble == ["seed 2: the turns are far apart"]
    assert stability([Entry("a", "", "")], "frechet") is None


def test_classes_show_shares_against_the_real_ones() -> None:
    found = classes(entries())
    assert found
    assert [name for name, _ in found.models] == ["rapid", "encoding", "patient"]
    five = next(row for name, _, row in found.rows if name == "five")
    assert [mark.missing for mark in five if mark] == [True, False, False]
    assert all(0 <= mark.share <= 100 and 0 <= mark.real <= 100 for _, _, row in found.rows for mark in row if mark)
    many = [ClassRow(f"class {k}", 0.01 + 0.0001 * (k % 7), 0.01, 0.5) for k in range(100)]
    few = classes([Entry("a", "", "", classes=many)])
    assert few
    assert (len(few.rows), few.of) == (CLASSES, 100)
    assert {name for name, _, _ in few.rows} <= {f"class {k}" for k in range(100) if k % 7 == 6}
    assert classes([Entry("a", "", "")]) is None


def test_models_differ_without_colour() -> None:
    assert len(set(MARKS)) == len(MARKS)
    (chart, _) = learning(entries())
    assert [trace.style for trace in chart.traces] == [0, 1, 2]
