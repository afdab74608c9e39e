"""Three sentences that say what the numbers say, and no more."""

from __future__ import annotations

import math

import pytest

from constructed import class_rows, entries, estimate, frechet
from triptych.metrics.estimate import Estimate, Score
from triptych.report import Copies, Entry, Speed, Trial
from triptych.report.standing import final, over, ranked, told_apart
from triptych.report.verdict import verdict


def model(name: str, *values: float, room: float = 0.02, **more: object) -> Entry:
    """A model with one training seed for each Fréchet distance."""
    trials = [Trial(seed, scores=[frechet(value, room)]) for seed, value in enumerate(values)]
    return Entry(name, "family", "paper", trials=trials)._replace(**more)


def test_a_clear_winner() -> None:
    found = verdict([model("near", 10, 11, 12), model("far", 20, 22, 21)])
    assert found.best == "near"
    assert found.sentences[0] == (
        "near is best: FD-bundled 11 (9.80–12.2 over 3 seeds), 10 lower than far at 21 (19.6–22.4)."
    )


def test_intervals_that_overlap_cannot_tell() -> None:
    found = verdict([model("a", 10.0, 10.2, room=0.1), model("b", 10.5, 10.9, room=0.1), model("c", 30, 31)])
    assert found.best is None
    assert "cannot tell whether a or b is best" in found.sentences[0]
    assert "overlap" in found.sentences[0]
    assert "c" not in found.sentences[0].partition(":")[0].split()


def test_a_ranking_that_turns_with_the_seed_cannot_tell() -> None:
    found = verdict([model("a", 10, 14, room=0), model("b", 12, 11, room=0)])
    assert found.best is None
    assert "the seeds rank them differently" in found.sentences[0]


def test_one_seed_has_its_own_interval() -> None:
    found = verdict([model("a", 10), model("b", 20)])
    assert found.best == "a"
    assert "FD-bundled 10 (9.80–10.2, one seed)" in found.sentences[0]
    assert verdict([model("a", 10, room=0.4), model("b", 20, room=0.4)]).best is None


def test_the_order_of_the_rest_may_be_unknown() -> None:
    found = verdict([model("a", 10), model("b", 20), model("c", 20.1)])
    assert found.best == "a"
    assert found.sentences[0].endswith("; the order of b and c cannot be told.")


def test_a_score_where_higher_is_better() -> None:
    def made(name: str, value: float) -> Entry:
        return Entry(name, "", "", trials=[Trial(0, scores=[Score("recall", "recall", "higher", estimate(value))])])

    found = verdict([made("a", 0.3), made("b", 0.6)])
    assert (found.best, found.score) == ("b", "recall")
    assert "0.3 higher than a" in found.sentences[0]


def test_noise_is_not_ranked() -> None:
    def made(name: str, value: float, recall: float) -> Entry:
        seen = Score("recall", "recall-bundled", "higher", Estimate(recall, recall, recall))
        return Entry(name, "", "", trials=[Trial(0, scores=[frechet(value, 0.01), seen])])

    early = verdict([made("a", 60, 0.0), made("b", 70, 0.004)])
    assert early.best is None
    assert early.sentences[0].startswith("No model has learnt these images yet: every recall is below 1%")
    assert verdict([made("a", 60, 0.3), made("b", 70, 0.0)]).best == "a"


def test_nothing_scored_and_one_alone() -> None:
    assert verdict([Entry("a", "", ""), Entry("b", "", "")]).best is None
    assert "by eye" in verdict([Entry("a", "", "")]).sentences[0]
    assert "no other model" in verdict([model("a", 10), Entry("b", "", "")]).sentences[0]


def test_a_failed_seed_counts_as_a_warning_and_not_as_a_score() -> None:
    broken = model("a", 10, 11)
    broken = broken._replace(trials=[*broken.trials, Trial(2, failure="the loss is not a number")])
    found = verdict([broken, model("b", 20, 21, 22)])
    assert found.best == "a"
    assert "over 2 seeds" in found.sentences[0]
    assert found.sentences[2] == "Mind that a failed in 1 of 3 training seeds."
    assert "b failed" in verdict([broken, Entry("b", "", "", failure="it broke")]).sentences[2]


def test_values_that_are_not_finite_are_no_scores() -> None:
    trials = [Trial(0, scores=[frechet(math.nan)]), Trial(1, scores=[frechet(8.0)])]
    (place,) = ranked([Entry("a", "", "", trials=trials)], "frechet")
    assert place.seeds == {1: 8.0}
    assert final(Entry("a", "", "", trials=trials[:1]), "frechet") == frechet(math.nan)._replace(estimate=None)


def test_speed_and_its_price() -> None:
    settings = [Speed(f"steps {n}", ms, frechet(v)) for n, ms, v in ((1, 0.5, 40.0), (5, 2.0, 15.0), (50, 20.0, 10.0))]
    slow = model("good", 10, milliseconds=20.0, speeds=settings)
    found = verdict([slow, model("quick", 30, milliseconds=0.1)])
    assert found.sentences[1] == (
        "quick samples fastest, 0.1 ms an image; good’s better score costs 20 ms, 200 times as long; "
        "with steps 5 it takes 2 ms and still leads at 15."
    )
    both = verdict([model("good", 10, milliseconds=0.1), model("b", 30, milliseconds=0.25)])
    assert both.sentences[1] == "good also samples fastest, 0.1 ms an image; b takes 2.5 times as long."
    tied = verdict([model("a", 10, milliseconds=1.0), model("b", 10, milliseconds=3.0)])
    assert tied.sentences[1] == "a samples fastest, 1 ms an image; b is slowest, 3 ms, 3 times as long."
    assert verdict([model("a", 10)]).sentences[1] == "Sampling was not timed."


def test_copies_missing_classes_and_alarms_are_warned_of() -> None:
    copier = model("a", 10, copies=Copies(40, 1000, 290.0, 540.0, 400.0))
    blind = model("b", 20, classes=class_rows([0, 0.1, 1, 1, 1, 1, 1, 1, 1, 1]))
    blind = blind._replace(trials=[blind.trials[0]._replace(alarms=["x", "y"])])
    assert verdict([copier, blind]).sentences[2] == (
        "Mind that a copies (400 in 10,000 images); b next to never makes zero and raised 2 alarms in training."
    )
    harmless = model("a", 10, copies=Copies(10, 1000, 48.0, 183.0, 100.0))
    assert "Mind" not in verdict([harmless]).sentences[2]


def test_what_models_can_do_besides() -> None:
    able = model("a", 10, probe=estimate(0.934), bits=estimate(2.8), bits_are="bound")
    exact = model("b", 20, bits=estimate(2.6), bits_are="exact")
    said = verdict([able, exact]).sentences[2]
    for words in ("a encodes images", "93.4%", "a gives a likelihood (2.80 bits/dim, a bound)", "bits/dim, exact"):
        assert words in said
    assert verdict([model("a", 10)]).sentences[2] == "None of them encodes images or gives a likelihood."


def test_over_seeds() -> None:
    assert over([Estimate(1, 0.5, 1.5), Estimate(3, 2.9, 3.3)]) == Estimate(2, 0.5, 3.3)


@pytest.mark.parametrize(("other", "apart"), [(12.0, False), (11.0, True), (10.4, False)])
def test_models_that_touch_are_not_told_apart(other: float, apart: bool) -> None:
    near, far = ranked([model("a", 10, room=0), model("b", 12 if other == 12.0 else other, room=0)], "frechet")
    assert told_apart(near, far) or not apart
    touching = far._replace(score=Score("frechet", "FD", "lower", Estimate(other, 10.0, other)))
    assert not told_apart(near, touching)


def test_names_come_from_the_data() -> None:
    found = verdict(entries(("<b>", "[x](y)", "z")))
    assert found.best == "z"
    assert "[x](y) samples fastest" in found.sentences[1]
