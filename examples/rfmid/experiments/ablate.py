"""Which of the deck's changes did what: each alone, several seeds, scored on the same classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from examples.rfmid.data.splits import FundusData, load_data
from examples.rfmid.errors import RecipeError
from examples.rfmid.experiments.ablation_report import write_ablation
from examples.rfmid.experiments.compare import Scored, drawn_patients, score
from examples.rfmid.experiments.pool import Job, Outcome, is_trained, train_all
from examples.rfmid.experiments.replay import Replay, is_replayed
from examples.rfmid.experiments.variants import (
    VARIANTS,
    Variant,
    check_base,
    training_config,
    training_name,
    variant_config,
)
from examples.rfmid.locks import locked
from examples.rfmid.predictions import Predictions
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.scoring.selection import choose_thresholds
from examples.rfmid.settings import Config, DataConfig
from examples.rfmid.settings.config_file import config_to_dict
from examples.rfmid.tables import counted


def ablate(
    folder: Path,
    config: Config,
    *,
    preset: str = "default",
    seeds: tuple[int, ...] = (0, 1, 2),
    variants: tuple[str, ...] = (),
    jobs: int = 1,
    n_resamples: int = 1000,
) -> Path:
    """Train what the variants need, score them, and write the table, the figure and the data.

    Each training keeps the outputs of all its epochs in ``trainings/NAME-SEED``; variants that
    differ in thresholds, selection, stopping or link share one. ``variants/NAME-SEED`` are run
    folders that ``tune``, ``evaluate`` and ``report`` accept. Called again, it goes on where it
    was broken off. --max-minutes is for all trainings together. A frozen backbone's features are
    computed once for all, and kept in ``cache``, unless --cache disk keeps them elsewhere.

    The preset and its flags set size, data and runtime; the variants set the rest.

    Parameters
    ----------
    folder
        Folder of the experiment: trainings/, variants/, ablation.md, .json, .csv and .png.
    config
        Size, data and runtime; the rest is the variants'.
    preset
        Where `config` started.
    seeds
        Seeds; every variant is trained with each.
    variants
        Names of variants; by default all. Those that they are compared with are added.
    jobs
        Trainings at once, in processes that share the cores and the GPU.
    n_resamples
        Draws of the test patients, for the intervals.

    Returns
    -------
    Path
        ``ablation.md``; ``ablation.json``, ``ablation.csv`` and ``ablation.png`` lie beside it.

    Raises
    ------
    RecipeError
        On an unknown variant, a flag that the variants set, bad data, a folder with another
        experiment, or if nothing could be trained; and, after all others are done, if a training
        failed.
    """
    chosen = _chosen(variants)
    if not seeds or len(set(seeds)) < len(seeds):
        raise RecipeError(f"seeds must be different numbers, got {seeds}")
    if jobs < 1 or n_resamples < 1:
        raise RecipeError("jobs and n_resamples must be at least 1")
    check_base(config, preset)
    config = _sharing_features(config, folder)
    RunFolder(folder).create()
    with locked(folder / ".lock", refusal=f"another process is working in {folder}"):
        data = _data(chosen, config)
        planned = _planned(folder, chosen, config, seeds)
        systems = counted(len(chosen) * len(seeds), "system")
        print(f"{systems} from {counted(len(planned), 'training')} in {folder / 'trainings'}")
        outcome = train_all(
            list(planned.values()), at_once=jobs, max_minutes=config.runtime.max_minutes
        )
        scored = _scored(folder, chosen, config, planned, data, n_resamples)
        if not any(scored.values()):
            raise RecipeError(_nothing(outcome))
        path = write_ablation(
            folder, chosen, scored, data=_described(data, config, seeds), outcome=outcome
        )
    if outcome.failed:
        listed = "; ".join(f"{name}: {why}" for name, why in outcome.failed.items())
        raise RecipeError(f"{len(outcome.failed)} trainings failed: {listed}")
    return path


def _sharing_features(config: Config, folder: Path) -> Config:
    """Let the trainings share what a frozen backbone makes of the photographs."""
    runtime = config.runtime
    if config.model.freeze == "none" or runtime.cache == "disk":
        return config
    return replace(config, runtime=replace(runtime, cache="disk", cache_folder=folder / "cache"))


def _chosen(names: Sequence[str]) -> list[Variant]:
    unknown = [name for name in names if name not in VARIANTS]
    if unknown:
        raise RecipeError(f"unknown variants {', '.join(unknown)}; there are {', '.join(VARIANTS)}")
    wanted = set(names or VARIANTS)
    wanted |= {base for name in wanted if (base := VARIANTS[name].base)}
    return [variant for name, variant in VARIANTS.items() if name in wanted]


def _data(chosen: Sequence[Variant], config: Config) -> dict[DataConfig, FundusData]:
    """Check the data of every system before anything is trained."""
    needed = {variant_config(one, config, 0).data for one in (*chosen, VARIANTS["after"])}
    return {settings: load_data(settings) for settings in needed}


def _planned(
    folder: Path, chosen: Sequence[Variant], config: Config, seeds: Sequence[int]
) -> dict[tuple[str, int], Job]:
    """Return the trainings, all of a seed before the next: broken off, some seeds are whole."""
    planned = {}
    for seed in seeds:
        for variant in chosen:
            name = training_name(variant, config)
            planned[name, seed] = Job(
                f"{name}-{seed}",
                RunFolder(folder / "trainings" / f"{name}-{seed}"),
                training_config(variant, config, seed),
            )
    return planned


def _scored(
    folder: Path,
    chosen: Sequence[Variant],
    config: Config,
    planned: Mapping[tuple[str, int], Job],
    data: Mapping[DataConfig, FundusData],
    n_resamples: int,
) -> dict[str, dict[int, Scored]]:
    """Write the run folder of each variant whose training has ended, and score it."""
    classes = data[variant_config(VARIANTS["after"], config, 0).data].class_names
    scored: dict[str, dict[int, Scored]] = {variant.name: {} for variant in chosen}
    drawn = None
    for (name, seed), job in planned.items():
        if not is_trained(job):
            continue
        replay = Replay(job.folder, data[job.config.data].train)
        for variant in (one for one in chosen if training_name(one, config) == name):
            settings = variant_config(variant, config, seed)
            at = RunFolder(folder / "variants" / f"{variant.name}-{seed}")
            if not is_replayed(at, settings):
                replay.write(at, settings)
            val, test = (Predictions.load(at.predictions(split)) for split in ("val", "test"))
            if drawn is None:
                drawn = drawn_patients(test, n_resamples=n_resamples)
            thresholds = choose_thresholds(settings.thresholds, val)
            scored[variant.name][seed] = score(val, test, thresholds, classes=classes, drawn=drawn)
    return scored


def _described(
    data: Mapping[DataConfig, FundusData], config: Config, seeds: Sequence[int]
) -> dict[str, Any]:
    """Return what was trained and measured on, for the record."""
    of = data[variant_config(VARIANTS["after"], config, 0).data]
    patients = of.test.patients
    return {
        "seeds": list(seeds),
        "classes": list(of.class_names),
        "images": {name: len(split) for name, split in of.splits.items()},
        "test_patients": None if patients is None else len(set(patients)),
        "architecture": config.model.architecture,
        "weights": config.model.weights,
        "freeze": config.model.freeze,
        "views": config.model.views,
        "image_size": config.image.image_size,
        "epochs": config.training.epochs,
        "config": config_to_dict(config),
    }


def _nothing(outcome: Outcome) -> str:
    if outcome.failed:
        name, why = next(iter(outcome.failed.items()))
        return f"no training ended; {name}: {why}"
    return "no training ended in --max-minutes; called again, ablate goes on"
