"""The ablation as JSON, CSV, Markdown and a figure."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from examples.rfmid.experiments.compare import CONFIDENCE, Scored, compared, summarised
from examples.rfmid.experiments.forest import differences_figure
from examples.rfmid.experiments.pool import Outcome
from examples.rfmid.experiments.variants import Variant
from examples.rfmid.files import write_json, write_whole
from examples.rfmid.reporting.figures.style import save_figure
from examples.rfmid.tables import counted, markdown_table, number, text_table, with_interval

# Systems with and without the deck's thresholds.
_CLAIMS = (("before+threshold", "before"), ("after", "after-threshold"))
_HEADER = (
    "system",
    "what it is",
    "test macro-F1",
    "seeds",
    "minus base",
    "seeds",
    "macro-AUROC",
    "F1 > 0",
    "floors broken",
)


def write_ablation(
    folder: Path,
    variants: Sequence[Variant],
    scored: Mapping[str, Mapping[int, Scored]],
    *,
    data: dict[str, Any],
    outcome: Outcome,
) -> Path:
    """Write ``ablation.json``, ``.csv``, ``.md`` and ``.png``; and print the table."""
    systems = [_system(variant, scored) for variant in variants if scored[variant.name]]
    claims = [found for pair in _CLAIMS if (found := _claim(scored, *pair)) is not None]
    result = {
        "format": "rfmid.ablation",
        "version": 1,
        "confidence": CONFIDENCE,
        **data,
        "macro_f1_all_positive": _all_positive(scored),
        "systems": systems,
        "claims": claims,
        "unfinished": list(outcome.unfinished),
        "failed": dict(outcome.failed),
    }
    write_json(folder / "ablation.json", result)
    write_whole(folder / "ablation.csv", _as_csv(systems))
    drawn = [one for one in systems if one["against_base"] is not None]
    figure = folder / "ablation.png"
    figure.unlink(missing_ok=True)
    if drawn:
        save_figure(differences_figure(drawn), figure)
    path = folder / "ablation.md"
    write_whole(path, _as_markdown(result))
    rows = [[row[0], *row[2:]] for row in map(_row, systems)]
    print(
        "",
        text_table([_HEADER[0], *_HEADER[2:]], rows),
        "",
        *(one["text"] for one in claims),
        "",
        sep="\n",
    )
    if outcome.unfinished:
        print(f"not trained to the end, called again goes on: {', '.join(outcome.unfinished)}")
    print(path)
    return path


def _system(variant: Variant, scored: Mapping[str, Mapping[int, Scored]]) -> dict[str, Any]:
    base = variant.base
    difference = None
    if base is not None:
        difference = compared(scored[variant.name], scored[base])
    return {
        "name": variant.name,
        "description": variant.description,
        "base": base,
        **summarised(scored[variant.name]),
        "against_base": difference,
    }


def _all_positive(scored: Mapping[str, Mapping[int, Scored]]) -> float:
    """Return macro-F1 of calling everything, which depends on the labels alone."""
    return next(
        run.macro_f1_all_positive for by_seed in scored.values() for run in by_seed.values()
    )


def _claim(
    scored: Mapping[str, Mapping[int, Scored]], one: str, without: str
) -> dict[str, Any] | None:
    """Set the measured gain of thresholds beside the deck's."""
    found = compared(scored.get(one, {}), scored.get(without, {}))
    if found is None:
        return None
    n = len(found["by_seed"])
    text = (
        f'The deck\'s "+10-15 % F1" from thresholds: here {one} minus {without} is '
        f"{with_interval(found['difference'], found['interval'])} in test macro-F1, "
        f"{_percent(found['relative'])} [{', '.join(map(_percent, found['relative_interval']))}] "
        f"of the latter (mean of {counted(n, 'seed')}: "
        f"{', '.join(f'{value:+.3f}' for value in found['by_seed'].values())})."
    )
    return {"with": one, "without": without, **found, "text": text}


def _of_the_backbone(result: Mapping[str, Any]) -> list[str]:
    """Say what a frozen backbone leaves out."""
    if result["freeze"] == "none":
        return []
    views = result["views"]
    seen = (
        "unchanged" if views == 1 else f"unchanged and as augmentation changed it {views - 1} times"
    )
    note = (
        "**The backbone was frozen**: only the head learnt, from what each training photograph "
        f"gave {seen}. What augmentation or a backbone that learns would do to these differences "
        "is not measured."
    )
    return [note]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:+.0%}".replace("%", " %")


def _row(system: dict[str, Any]) -> list[str]:
    found = system["against_base"]
    difference = by_seed = ""
    if found is not None:
        difference = with_interval(found["difference"], found["interval"])
        by_seed = _range(found["by_seed"])
    return [
        system["name"],
        system["description"],
        with_interval(system["macro_f1"], system["macro_f1_interval"]),
        _range(system["macro_f1_by_seed"]),
        difference,
        by_seed,
        number(system["macro_auroc"]),
        f"{system['n_learned']:.3g}",
        f"{system['floors_broken']:.3g} of {system['floors_met']:.3g}",
    ]


def _range(by_seed: Mapping[str, float]) -> str:
    values = list(by_seed.values())
    return "one seed" if len(values) < 2 else f"{min(values):.3f} to {max(values):.3f}"


def _as_csv(systems: Sequence[dict[str, Any]]) -> str:
    """Return a row a system; what is undefined is empty."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(
        [
            *("system", "base", "n_seeds", "macro_f1", "macro_f1_low", "macro_f1_high"),
            *("macro_f1_lowest_seed", "macro_f1_highest_seed", "difference", "difference_low"),
            *("difference_high", "relative", "macro_auroc", "n_learned", "floors_met"),
            "floors_broken",
        ]
    )
    for one in systems:
        seeds, found = one["macro_f1_by_seed"].values(), one["against_base"]
        difference = [None] * 4
        if found is not None:
            difference = [found["difference"], *found["interval"], found["relative"]]
        writer.writerow(
            [
                *(one["name"], one["base"], len(seeds), one["macro_f1"]),
                *one["macro_f1_interval"],
                *(min(seeds), max(seeds)),
                *difference,
                *(one["macro_auroc"], one["n_learned"], one["floors_met"], one["floors_broken"]),
            ]
        )
    return table.getvalue()


def _as_markdown(result: Mapping[str, Any]) -> str:
    images, patients = result["images"], result["test_patients"]
    measured = f"{images['test']:,} test images"
    if patients is not None:
        measured += f" of {patients:,} patients"
    weights = "random" if result["weights"] == "none" else result["weights"]
    listed = ", ".join(map(str, result["seeds"]))
    notes = [
        *_of_the_backbone(result),
        (
            f"{result['architecture']} from {weights} weights at {result['image_size']} "
            f"pixels, {images['train']:,} training and {images['val']:,} validation images, at "
            f"most {result['epochs']} epochs, seeds {listed}. Scored on {measured} "
            f"and the same {len(result['classes'])} classes, also where more were trained. "
            f"Calling every disease in every image has a macro-F1 of "
            f"{number(result['macro_f1_all_positive'])}."
        ),
        (
            f"Brackets: {100 * result['confidence']:.0f} % intervals from drawing the test "
            "patients anew, the same for all systems; they hold the networks fixed. *Seeds*: the "
            "lowest and the "
            "highest of the trainings, which the intervals leave out. A difference that the seeds "
            "don't agree on says little, whatever its interval. Each interval holds by itself: of "
            "this many some exclude 0 by chance. The test images chose nothing; who picks a system "
            "by this table needs others to report on."
        ),
        (
            "Each system is compared with the one that its name starts with, *after* with "
            "*before*. *F1 > 0*: classes with a hit. *Floors broken*: classes under a recall of "
            "0.3 on test, of those that had it on validation."
        ),
    ]
    table = markdown_table(_HEADER, [_row(one) for one in result["systems"]], n_left=2)
    blocks = ["# Which change did what", *notes, table, *(one["text"] for one in result["claims"])]
    if any(one["against_base"] for one in result["systems"]):
        blocks.append("![Differences to the base](ablation.png)")
    if result["unfinished"]:
        blocks.append(f"Not trained to the end: {', '.join(result['unfinished'])}.")
    if result["failed"]:
        failed = "\n".join(f"- {name}: {why}" for name, why in result["failed"].items())
        blocks.append(f"Failed:\n\n{failed}")
    return "\n\n".join(blocks) + "\n"
