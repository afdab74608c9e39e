"""Write `docs/textbook.md`: the textbook's claims about the three families against committed results.

    python tools/textbook.py

Reads every `docs/results/NAME/report.json` (what a comparison wrote, but for its page and its runs) in which
all three families take part. A claim is judged by numbers with intervals: it holds or fails where they do not
touch, otherwise the data cannot tell.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

from scipy.stats import chi2

from triptych.words import short

DOCS = Path(__file__).parent.parent / "docs"
GAN, VAE, DIFFUSION = "gan", "vae", "diffusion"
NAMES = {GAN: "GAN", VAE: "VAE", DIFFUSION: "diffusion"}
Model = Mapping[str, Any]
Range = tuple[float, float, float]  # value, low, high


class Answer(NamedTuple):
    """What one data set says of one claim."""

    verdict: str  # "holds", "fails" or "cannot tell"
    numbers: str


class Claim(NamedTuple):
    """A sentence of the textbook, how it is judged, and by what."""

    sentence: str
    how: str
    judge: Callable[[Mapping[str, Model]], Answer]  # of the models by family


def score(model: Model, key: str) -> Range | None:
    """A score over the training seeds: the mean, from the lowest low to the highest high."""
    found = [s["estimate"] for trial in model["trials"] for s in trial["scores"] if s["key"] == key and s["estimate"]]
    if not found:
        return None
    return (
        sum(one["value"] for one in found) / len(found),
        min(one["low"] for one in found),
        max(one["high"] for one in found),
    )


def number(model: Model, field: str) -> Range | None:
    """A number of the model that is measured once."""
    value = model[field]
    if isinstance(value, Mapping):
        return value["value"], value["low"], value["high"]
    return None if value is None else (value, value, value)


def spread(model: Model) -> Range | None:
    """The relative standard deviation of the final distance over the training seeds, with its 95% interval.

    (n - 1) s^2 over the true variance follows a chi-squared law of n - 1 degrees: few seeds tell little.
    """
    values = [
        s["estimate"]["value"] for t in model["trials"] for s in t["scores"] if s["key"] == "frechet" and s["estimate"]
    ]
    if len(values) < 2:
        return None
    free, wide = len(values) - 1, stdev(values) / mean(values)
    low, high = (wide * (free / chi2.ppf(share, free)) ** 0.5 for share in (0.975, 0.025))
    return wide, float(low), float(high)


def copied(model: Model) -> Range | None:
    """Copies per 10,000."""
    copies = model["copies"]
    return None if copies is None else (copies["per_10_000"], copies["low"], copies["high"])


def most(
    family: str, of: Callable[[Model], Range | None], unit: str = "", lowest: bool = False
) -> Callable[..., Answer]:
    """The claim that a family has the highest (or lowest) value of all."""

    def judge(models: Mapping[str, Model]) -> Answer:
        values = {name: value for name, model in models.items() if (value := of(model)) is not None}
        text = ", ".join(f"{NAMES[name]} {words(value, unit)}" for name, value in values.items())
        if family not in values or len(values) < 2:
            return Answer("not measured", text)
        mine, others = values[family], [value for name, value in values.items() if name != family]
        sign = -1 if lowest else 1
        if all(_above(mine, other, sign) for other in others):
            return Answer("holds", text)
        if any(_above(other, mine, sign) for other in others):
            return Answer("fails", text)
        return Answer("cannot tell", text)

    return judge


def only(family: str, field: str) -> Callable[..., Answer]:
    """The claim that one family alone has a number."""

    def judge(models: Mapping[str, Model]) -> Answer:
        having = [name for name, model in models.items() if model[field] is not None]
        text = ", ".join(f"{NAMES[n]} {words(v)}" for n in having if (v := number(models[n], field)))
        return Answer("holds" if having == [family] else "fails", text or "none")

    return judge


def _above(one: Range, other: Range, sign: int) -> bool:
    """Whether an interval lies above the other, wholly; below it where the sign is -1."""
    return one[1] > other[2] if sign > 0 else one[2] < other[1]


def words(value: Range, unit: str = "") -> str:
    middle, low, high = (short(part) for part in value)
    return f"{middle}{unit}" if low == high else f"{middle}{unit} ({low}–{high})"


def by(key: str) -> Callable[[Model], Range | None]:
    return lambda model: score(model, key)


def field(name: str) -> Callable[[Model], Range | None]:
    return lambda model: number(model, name)


CLAIMS = (
    Claim("Diffusion makes the best images.", "lowest FD-bundled", most(DIFFUSION, by("frechet"), lowest=True)),
    Claim("GANs are sharp: each image looks real.", "highest precision", most(GAN, by("precision"))),
    Claim("VAEs are blurry: furthest from real images.", "highest FD-bundled", most(VAE, by("frechet"))),
    Claim("GANs drop modes: they make fewer kinds of images.", "lowest recall", most(GAN, by("recall"), lowest=True)),
    Claim("GANs are unstable: another seed, another score.", "widest spread of FD-bundled", most(GAN, spread)),
    Claim("Diffusion is slow to sample.", "most milliseconds an image", most(DIFFUSION, field("milliseconds"), " ms")),
    Claim("A VAE gives useful features.", "highest accuracy of a linear probe", most(VAE, field("probe"))),
    Claim("A VAE reconstructs what it encodes.", "highest PSNR of reconstructions", most(VAE, field("psnr"), " dB")),
    Claim("Only a VAE says how probable an image is.", "bits/dim are there", only(VAE, "bits")),
    Claim("Diffusion copies its training images.", "most copies per 10,000", most(DIFFUSION, copied)),
)  # fmt: skip


def by_family(report: Mapping[str, Any]) -> dict[str, Model]:
    """The first model of each family that was trained."""
    found: dict[str, Model] = {}
    for model in report["models"]:
        if model["family"] in NAMES and not model["failure"]:
            found.setdefault(model["family"], model)
    return found


def page(reports: Mapping[str, Mapping[str, Any]]) -> str:
    """The page in Markdown."""
    lines = [
        "# GAN, VAE or diffusion?",
        "",
        "The textbook has an answer: *a GAN is sharp but unstable, a VAE is blurry but encodes, diffusion is best but",
        "slow.* Here its claims stand against measurements of `triptych compare`: same data, same split, same seeds,",
        "equal training time on one machine without a GPU. Small budgets favour quick learners; this page says what",
        "holds there, not what holds after a week on a GPU. Measure your own images with",
        "`triptych compare YOUR-IMAGES --for 10min --seeds 3`.",
        "",
        "| data | images | budget | models | training seeds | machine |",
        "|---|---|---|---|---|---|",
    ]
    if not reports:
        return "\n".join([*lines[:8], "No measurement is committed yet."]) + "\n"
    for name, report in reports.items():
        models = by_family(report)
        seeds = max(len(model["trials"]) for model in models.values())
        names = ", ".join(f"{NAMES[family]}: `{model['name']}`" for family, model in models.items())
        lines.append(f"| {name} | {report['about']} | {report['budget']} | {names} | {seeds} | {report['machine']} |")
    lines += [
        "",
        "`cifar10` is a copy of CIFAR-10 as JPEG images (the loss is small but real), `emoji` are Noto Emoji at 32 px.",
        "For both, the GAN and the diffusion model have the recipes for one CPU core in `recipes/`, the VAE its own.",
        "",
        "## In one table",
        "",
        f"| claim | judged by | {' | '.join(reports)} |",
        "|---|---|" + "---|" * len(reports),
    ]
    answers = [[claim.judge(by_family(report)) for report in reports.values()] for claim in CLAIMS]
    for claim, row in zip(CLAIMS, answers, strict=True):
        lines.append(f"| {claim.sentence} | {claim.how} | {' | '.join(f'**{one.verdict}**' for one in row)} |")
    lines += [
        "",
        "*Holds* and *fails* are said only where the 95% intervals do not touch; over several seeds an interval goes",
        "from the lowest low to the highest high. FD-bundled compares these models with each other, not with papers.",
        "",
        "## The numbers",
    ]
    for claim, row in zip(CLAIMS, answers, strict=True):
        lines += ["", f"**{claim.sentence}** Judged by: {claim.how}.", ""]
        lines += [f"- {name}: {one.verdict}. {one.numbers}" for name, one in zip(reports, row, strict=True)]
    for name, report in reports.items():
        lines += ["", f"## {name}", ""] + [f"- {sentence}" for sentence in report["verdict"]]
        lines += ["", f"[All numbers and pictures](results/{name}/report.md)"]
        for model in report["models"]:
            lines += ["", f"{model['name']}, seeds 0 to 63, none picked:", ""]
            lines += [f"![Images made by {model['name']}](results/{name}/{model['picture']})"]
        lines += ["", f"![FD-bundled against the time of training on {name}](results/{name}/learning.svg)"]
    lines += [
        "",
        "This page is written by `tools/textbook.py` from `docs/results/`; commands and dates are in `RESULTS.md`.",
    ]
    return "\n".join(lines) + "\n"


def reports(folder: Path = DOCS / "results") -> dict[str, Any]:
    """The committed reports of all three families by the name of their data, in the order of their names."""
    found = {p.parent.name: json.loads(p.read_text(encoding="utf-8")) for p in sorted(folder.glob("*/report.json"))}
    return {name: report for name, report in found.items() if len(by_family(report)) == len(NAMES)}


def main(arguments: Sequence[str] = ()) -> None:
    (DOCS / "textbook.md").write_text(page(reports()), encoding="utf-8")


if __name__ == "__main__":
    main()
