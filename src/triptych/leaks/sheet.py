"""The data sheet: what a hospital, or anybody whose images are of people, must be told of a model.

Each line has a value, or says that it is not known and why. Nothing is guessed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from triptych.leaks.audit import Audit

WARNING = "Not for diagnosis."


class Line(NamedTuple):
    """One fact of the sheet."""

    label: str
    value: str


def sheet(audit: Audit, passes: float | None = None) -> list[Line]:
    """The lines for one audit; `passes` is how often the model saw each training image."""
    copies, twins, controls, limits = audit.copies, audit.duplicates, audit.controls, audit.limits
    lines = [
        Line("Use", f"{WARNING} Generated images show nobody, and no finding in them is real."),
        Line("Training images", f"{twins.images:,}"),
        Line("Patients", "not known: the data names no patients, so images of one patient may be on both sides"),
        Line("Split", "by image, not by patient; equal images are on one side, unless the split is official"),
        Line("Consent and licence", "not known: the data comes with no such text; add it to the model's own papers"),
        Line("Passes over the data", "not known: there is no run folder" if passes is None else f"{passes:,.1f}"),
        Line("Repeats in the training set",
             f"{twins.exact:,} bit for bit; {twins.near:,} of {twins.sampled:,} images looked at have a near twin"),
        Line("Training images among the held-out ones", f"{controls.aside:,} of {controls.looked_at:,}"),
        Line("Detector", f"nearest training image by {audit.detector}"),
        Line("Thresholds", _thresholds(audit)),
        Line("Copies", f"{copies.flagged:,} of {copies.of:,}: {copies.per_10_000:.1f} per 10,000 "
                       f"(95% interval {copies.low:.1f} to {copies.high:.1f})"),
        Line("Copies by class", _by_class(audit)),
        Line("Membership test", _membership(audit)),
        Line("Differential privacy", "none: training adds no noise to gradients, so no ε and δ are promised"),
        Line("Bits", "8 a value; what deeper files lose is in the report of 'triptych pack'"),
        Line("Identifiers", "metadata of files (EXIF, GPS) is not read into the data; file names are kept in a pack"),
        Line("Writing in the images", "not known: no search for burned-in text was made; look at the images"),
        Line("Weights", "count as patient data: keep and share them like the images that they were trained on"),
    ]  # fmt: skip
    return lines if limits.features is not None else [*lines, Line("Second test", "none: too few real images")]


def _thresholds(audit: Audit) -> str:
    pixels, features, _, promise = audit.limits
    words = f"{pixels:.1f} levels in the worst patch"
    words += "" if features is None else f", or a ratio of {features:.3f} in features"
    return f"{words}; {promise}"


def _by_class(audit: Audit) -> str:
    if not audit.classes:
        return "not known: the training images have no labels"
    rarest = min(audit.classes, key=lambda row: row.training)
    worst = max(audit.classes, key=lambda row: row.flagged / max(row.of, 1))
    return (f"rarest, {rarest.name} ({rarest.training:,} training images): {rarest.flagged} of {rarest.of}; "
            f"most often, {worst.name}: {worst.flagged} of {worst.of}")  # fmt: skip


def _membership(audit: Audit) -> str:
    found = audit.membership
    if found is None:
        return "not done: the model gives no likelihood, and there is no run folder with its training loss"
    rates = " and ".join(
        f"{value.value:.1%} ({value.low:.1%} to {value.high:.1%}) at a false-positive rate of {float(rate):.1%}"
        for rate, value in found.at_rates.items()
    )
    return f"finds {rates} of {found.members:,} training images by {found.loss}"
