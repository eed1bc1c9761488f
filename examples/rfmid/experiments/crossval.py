"""Cross-validation: a network scores the training and validation images that it never saw."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from examples.rfmid.data.splits import load_data
from examples.rfmid.errors import RecipeError
from examples.rfmid.experiments.ensemble import write_ensemble
from examples.rfmid.experiments.members import read_members
from examples.rfmid.experiments.pool import Job, is_trained, train_all
from examples.rfmid.files import write_json, write_whole
from examples.rfmid.locks import locked
from examples.rfmid.predictions import Predictions
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.scoring.evaluate import evaluate
from examples.rfmid.scoring.selection import choose_thresholds
from examples.rfmid.settings import Config, ThresholdConfig
from examples.rfmid.tables import counted, markdown_table, number, text_table, with_interval
from mlthresh import FoldReport, multilabel_report

_N_FOLDS = 5
_HEADER = ("", "images", "macro-F1", "macro-AUROC", "F1 > 0")


def crossval(folder: Path, config: Config, *, jobs: int = 1, n_resamples: int = 1000) -> Path:
    """Train a network a fold, gather their out-of-fold scores, and make an ensemble of them.

    Patients stay together. Each fold is a run folder ``fold-K``; called again, what has ended is
    skipped and what was broken off goes on. ``predictions_out_of_fold.npz`` has every image once;
    each fold is decided by thresholds that the other folds' scores chose. ``ensemble`` is the run
    folder of the folds' mean, with thresholds from all out-of-fold scores, evaluated on test.
    --max-minutes is for all folds together.

    Parameters
    ----------
    folder
        Folder of the cross-validation: fold-0, fold-1, ..., crossval.md, .json, and ensemble/.
    config
        Settings, as for train; --folds is 5 if it isn't set.
    jobs
        Trainings at once, in processes that share the cores and the GPU.
    n_resamples
        Bootstrap resamples of the patients, for the intervals.

    Returns
    -------
    Path
        ``crossval.md``; ``crossval.json`` lies beside it.

    Raises
    ------
    RecipeError
        On bad data, a folder with another experiment, or if a fold fails or time runs out.
    """
    if config.data.fold:
        raise RecipeError("cross-validation trains every fold: leave out --fold")
    if jobs < 1:
        raise RecipeError(f"jobs must be at least 1, got {jobs}")
    n_folds = config.data.folds or _N_FOLDS
    RunFolder(folder).create()
    with locked(folder / ".lock", refusal=f"another process is working in {folder}"):
        planned_data = [replace(config.data, folds=n_folds, fold=k) for k in range(n_folds)]
        data = load_data(planned_data[0])
        assert data.folds is not None  # noqa: S101  # for the type checker
        print(data.folds)
        planned = [
            Job(
                f"fold-{k}",
                RunFolder(folder / f"fold-{k}"),
                replace(config, data=settings),
            )
            for k, settings in enumerate(planned_data)
        ]
        outcome = train_all(planned, at_once=jobs, max_minutes=config.runtime.max_minutes)
        if outcome.failed:
            listed = "; ".join(f"{name}: {why}" for name, why in outcome.failed.items())
            raise RecipeError(f"{listed}. Called again, crossval goes on")
        ended = sum(is_trained(job) for job in planned)
        if ended < n_folds:
            raise RecipeError(
                f"{ended} of {counted(n_folds, 'fold')} ended in --max-minutes; called again, "
                "crossval goes on"
            )
        return _finish(folder, planned, data.folds, n_resamples)


def _finish(
    folder: Path,
    jobs: Sequence[Job],
    shares: FoldReport,
    n_resamples: int,
) -> Path:
    members = read_members([job.folder.path for job in jobs])
    gathered = members.val
    gathered.save(folder / "predictions_out_of_fold.npz")
    sizes = [len(Predictions.load(job.folder.predictions("val")).ids) for job in jobs]
    rows = np.split(np.arange(len(gathered.ids)), np.cumsum(sizes)[:-1])
    alarms = _cross_fitted(gathered, rows, jobs[0].config.thresholds)
    result = {
        "format": "rfmid.crossval",
        "version": 1,
        "n_folds": len(jobs),
        "n_images": len(gathered.ids),
        "n_patients": gathered.n_patients,
        "classes": list(gathered.class_names),
        "folds": shares.to_dict(),
        "by_fold": [_measured(gathered.rows(part), alarms[part], n_resamples) for part in rows],
        "pooled": _measured(gathered, alarms, n_resamples),
    }
    together = RunFolder(folder / "ensemble")
    together.create()
    write_ensemble(together, members)
    write_json(folder / "crossval.json", result)
    path = folder / "crossval.md"
    write_whole(path, _as_markdown(result, shares))
    print(
        "",
        text_table(_HEADER, _rows(result)),
        "",
        f"The ensemble of the folds, {together.path}:",
        sep="\n",
    )
    evaluate(together.path, n_resamples=n_resamples)
    print(path)
    return path


def _cross_fitted(
    gathered: Predictions,
    rows: Sequence[npt.NDArray[np.intp]],
    thresholds: ThresholdConfig,
) -> npt.NDArray[np.bool_]:
    """Decide each fold by thresholds that the other folds' out-of-fold scores chose."""
    alarms = np.zeros(gathered.y_true.shape, dtype=bool)
    for k, part in enumerate(rows):
        others = np.concatenate([other for j, other in enumerate(rows) if j != k])
        chosen = choose_thresholds(thresholds, gathered.rows(others))
        alarms[part] = chosen.predict(gathered.y_score[part])
    return alarms


def _measured(
    predictions: Predictions, alarms: npt.NDArray[np.bool_], n_resamples: int
) -> dict[str, Any]:
    """Report decisions made elsewhere, averaged over the classes with a positive here."""
    shown = predictions.select(predictions.shown)
    if not shown.class_names:
        return {"n_images": len(predictions.ids), "decisions": None, "ranking": None}
    common: dict[str, Any] = {
        "class_names": shown.class_names,
        "groups": shown.patients,
        "n_resamples": n_resamples,
    }
    decided = replace(predictions, y_score=alarms.astype(np.float64)).select(shown.class_names)
    decisions = multilabel_report(shown.y_true, decided.y_score, 0.5, **common)
    ranking = multilabel_report(shown.y_true, shown.y_score, 0.5, **common)
    return {
        "n_images": len(predictions.ids),
        "decisions": {
            name: value
            for name, value in json.loads(decisions.to_json()).items()
            if "auroc" not in name and "average_precision" not in name
        },
        "ranking": {
            name: value
            for name, value in json.loads(ranking.to_json()).items()
            if name in ("macro_auroc", "macro_auroc_interval", "macro_average_precision")
        },
    }


def _rows(result: dict[str, Any]) -> list[list[str]]:
    named = [
        *((f"fold {k}", found) for k, found in enumerate(result["by_fold"])),
        ("all folds", result["pooled"]),
    ]
    return [
        [name, f"{found['n_images']:,}", *_cells(found["decisions"], found["ranking"])]
        for name, found in named
    ]


def _cells(decisions: dict[str, Any] | None, ranking: dict[str, Any] | None) -> list[str]:
    if decisions is None or ranking is None:
        return ["-", "-", "-"]
    return [
        with_interval(decisions["macro_f1"], decisions["macro_f1_interval"]),
        with_interval(ranking["macro_auroc"], ranking["macro_auroc_interval"]),
        f"{decisions['n_learned']} of {decisions['n_with_support']}",
    ]


def _as_markdown(result: dict[str, Any], shares: FoldReport) -> str:
    classes = [
        [one["name"], str(one["support"])]
        + [with_interval(one[f], one[f"{f}_interval"], 2) for f in ("recall", "precision", "f1")]
        for one in (result["pooled"]["decisions"] or {"classes": []})["classes"]
    ]
    of = counted(result["n_images"], "image")
    if result["n_patients"] is not None:
        of += f" of {counted(result['n_patients'], 'patient')}"
    values = [found["decisions"]["macro_f1"] for found in result["by_fold"] if found["decisions"]]
    spread = f"{number(min(values))} to {number(max(values))}" if values else "-"
    blocks = [
        f"# Cross-validation: {counted(result['n_folds'], 'fold')}",
        (
            f"{of}, training and validation together; the test images stay apart. Each image was "
            "scored by the network that hasn't learnt from it, and decided by thresholds that the "
            "other folds' scores chose. Each network's epoch was selected on its own fold, so "
            "figures flatter a little. 95 % intervals in brackets, patients for units; the folds' "
            f"macro-F1 ranges from {spread}. Ranks are compared over all folds where they are "
            "taken together, so networks that score on other scales lower that AUROC."
        ),
        markdown_table(_HEADER, _rows(result)),
        "## Class by class, all folds",
        markdown_table(["disease", "positives", "recall", "precision", "F1"], classes),
        "## Positives of each fold",
        f"```\n{shares}\n```",
        (
            "`ensemble/` is the run folder of the folds' mean, evaluated on test. Its thresholds "
            "come from out-of-fold scores of single networks, which spread more than means. The "
            "folds don't certify it: recall is certified only by patients that all of them have "
            "set aside (`--certify-share`)."
        ),
    ]
    return "\n\n".join(blocks) + "\n"
