"""The card of a trained model, as model hubs show it: what it is, how to use it, what made it, how good it is.

The head in YAML is what https://huggingface.co/docs/hub/model-cards reads (Mitchell et al. 2019, arXiv:1810.03993).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from triptych.recipe import write
from triptych.report.curves import signed
from triptych.report.markdown import escaped
from triptych.words import join

Tree = Mapping[str, Any]
UNKNOWN = "Not stated: name the images, their makers and their licence here before you share this model."


def figures(evaluation: Tree) -> dict[str, Any]:
    """What a card keeps of the JSON that `triptych evaluate` wrote: numbers of the first extractor, and copies."""
    judgement = evaluation["judgements"][0]
    kept = ("extractor", "about", "n_made", "n_real", "split")
    return {
        **{key: judgement["setting"][key] for key in kept},
        "scores": [
            {"key": score["key"], "label": score["label"], "better": score["better"], **score["estimate"]}
            for score in judgement["scores"]
            if score["estimate"]
        ],
        "copies": evaluation["privacy"] and evaluation["privacy"]["copies"],
    }


def card(run: str, tree: Tree, seen: int, made: Tree, scores: Tree | None) -> str:
    """The card in Markdown of the model of `run` after `seen` images.

    `tree` is its recipe. `made` says what is known of its making: "command", "parameters" and "data" with
    "title", "licence" and "source", any of them missing; `scores` are those of `figures`, None where nobody measured.
    """
    about, data = tree["about"], tree["data"]
    channels, height, width = data["image_shape"]
    size = f"{made['parameters']:,} parameters, " if "parameters" in made else ""
    kind = f"`{tree['name']}` ({about['family']}; {escaped(about['paper'])})"
    parts = [
        _head(tree),
        f"# {escaped(run)}",
        f"{kind}, {size}for images of {height}x{width}x{channels}.",
        f"```\ntriptych sample {run} -n 64 -o grid.png\n```",
        f"Abilities: {join(about['can'])}. Every decision is in its recipe; its weights are averages over training.",
        "## Training",
        _training(tree, seen, made),
        "## Scores",
        "Nobody has measured it: `triptych evaluate RUN` does." if scores is None else _scores(scores),
        "## Data",
        _data(data, made.get("data")),
        "## Limits",
        f"It makes what is like {escaped(data['name'])} and nothing else, at this size alone. It may repeat images "
        "that it was trained on, and inherits what is uneven in them.",
    ]
    return "\n\n".join(parts) + "\n"


def _head(tree: Tree) -> str:
    tags = list(dict.fromkeys([tree["about"]["family"], tree["name"]]))
    head = {
        "library_name": "triptych",
        "pipeline_tag": "unconditional-image-generation",
        "tags": tags,
        "datasets": [tree["data"]["name"]],
    }
    return f"---\n{write(head)}---"


def _training(tree: Tree, seen: int, made: Tree) -> str:
    command = f"\n\n```\n{made['command']}\n```" if "command" in made else ""
    return f"{seen:,} images, seed {tree['seed']}, batches of {tree['batch']}.{command}"


def _scores(scores: Tree) -> str:
    head = ["metric", "value", "95% interval", "better"]
    lines: list[Sequence[str]] = [head, ["---"] * len(head)]
    for score in scores["scores"]:
        low, high = signed(score["low"]), signed(score["high"])
        lines.append([escaped(score["label"]), signed(score["value"]), f"{low} to {high}", score["better"]])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    words = (
        f"{scores['n_made']:,} images against {scores['n_real']:,} real ones (side: {scores['split']}), "
        f"as seen by {escaped(scores['about'])}. Such numbers compare models with each other."
    )
    copies = scores["copies"]
    found = f"\n\nCopies of training images: {copies['flagged']:,} of {copies['of']:,}." if copies else ""
    return f"{words}\n\n{table}{found}"


def _data(data: Tree, known: Tree | None) -> str:
    number = f"{data['images']:,} training images of {escaped(data['name'])}, fingerprint `{data['fingerprint'][:12]}`."
    if known is None:
        return f"{number} {UNKNOWN}"
    return f"{number} {escaped(known['title'])}; licence: {escaped(known['licence'])}; {known['source']}."
