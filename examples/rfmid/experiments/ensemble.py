"""Make a run folder of several: the mean of their probabilities, with thresholds of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from examples.rfmid.errors import RecipeError
from examples.rfmid.experiments.members import Members, read_members
from examples.rfmid.files import read_json, write_json, writing
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.scoring.evaluate import evaluate
from examples.rfmid.scoring.selection import choose_thresholds
from examples.rfmid.serving.ensemble import save_ensemble
from examples.rfmid.settings.config_file import differences, save_config
from examples.rfmid.tables import counted


def ensemble(
    run: Path, *, runs: tuple[Path, ...], n_resamples: int = 1000, overwrite: bool = False
) -> dict[str, Any]:
    """Average the probabilities of trained runs, tune thresholds for them, and evaluate on test.

    The folder is a run folder for ``tune``, ``evaluate``, ``report``, ``predict`` and ``serve``;
    ``export`` and ``explain``, which need one network, name its members instead. Runs that
    share their validation images (other seeds, other architectures) tune on mean scores; the folds
    of one cross-validation on out-of-fold scores, each by the network that hasn't learnt from the
    image. Fold models don't certify their ensemble: only patients that all members have set aside
    (``--certify-share``) do.

    Parameters
    ----------
    run
        Folder of the ensemble.
    runs
        Its members, two or more; they must stay where they are from there.
    n_resamples
        Bootstrap resamples for the intervals.
    overwrite
        Replace the ensemble in the folder.

    Returns
    -------
    dict
        The content of ``evaluation.json``.

    Raises
    ------
    RecipeError
        If the runs don't fit together, one hasn't ended, or the folder holds something else.
    """
    folder = RunFolder(run)
    there = [path.name for path in folder.results() if path.exists()]
    if there and not (overwrite and folder.ensemble.is_file()):
        raise RecipeError(
            f"{run} already holds {', '.join(there)}; choose another folder"
            + (", or --overwrite" if folder.ensemble.is_file() else "")
        )
    members = read_members(runs)
    folder.create()
    for path in folder.results():
        path.unlink(missing_ok=True)
    try:
        write_ensemble(folder, members)
    except BaseException:  # else the rest would be in the way of the next attempt
        for path in folder.results():
            path.unlink(missing_ok=True)
        raise
    print(
        f"{counted(len(members.folders), 'member')}; thresholds tuned on "
        f"{'out-of-fold scores' if members.out_of_fold else 'the mean scores'} of "
        f"{counted(len(members.val.ids), 'image')}\n"
    )
    return evaluate(run, n_resamples=n_resamples)


def write_ensemble(folder: RunFolder, members: Members) -> None:
    """Write everything but the evaluation; ``ensemble.json`` comes last."""
    config = members.configs[0]
    save_config(folder.config, config)
    write_json(folder.data, _data(members))
    for split, predictions in (
        ("val", members.val),
        ("certify", members.certify),
        ("test", members.test),
    ):
        if predictions is not None:
            predictions.save(folder.predictions(split))
    thresholds = choose_thresholds(config.thresholds, members.val)
    path = folder.path / "thresholds.json"
    with writing(path):
        thresholds.save(path)
    notes = [
        {
            "architecture": one.model.architecture,
            "image_size": one.image.image_size,
            "seed": one.training.seed,
            "fold": one.data.fold if one.data.folds else None,
            "other_settings": sorted(differences(config, one)),
        }
        for one in members.configs
    ]
    save_ensemble(folder, members.folders, notes)


def _data(members: Members) -> dict[str, Any]:
    """Return the first member's ``data.json``, with the counts of the images that tune."""
    data = read_json(members.folders[0].data)
    if not members.out_of_fold:
        return data
    labels, patients = members.val.y_true, members.val.patients
    for entry, n_positive in zip(data["classes"], (labels == 1).sum(axis=0), strict=True):
        entry["counts"].update(train=int(n_positive), val=int(n_positive))
    for split in ("train", "val"):
        data["splits"][split].update(
            images=len(labels),
            patients=None if patients is None else len(set(patients)),
            without_disease=int((~(labels == 1).any(axis=1)).sum()),
            missing_labels=int(np.isnan(labels).sum()),
        )
    data["warnings"].append(
        "training and validation images are the same: each was scored by the members that had not "
        "learnt from it"
    )
    return data
