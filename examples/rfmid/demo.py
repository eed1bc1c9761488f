"""Everything once, on generated photographs: generate, train, tune, evaluate, report."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from examples.rfmid.fundus import generate_dataset
from examples.rfmid.reporting.report import report
from examples.rfmid.scoring.evaluate import evaluate
from examples.rfmid.scoring.tune import tune
from examples.rfmid.settings.presets import PRESETS
from examples.rfmid.tables import number, with_interval
from examples.rfmid.training.train import train


def demo(folder: Path, seed: int = 0) -> Path:
    """Run the whole recipe in some minutes, on two CPU cores and without a download.

    The photographs are drawings: they show that the system works, not how it does on patients.
    Called again, it keeps the generated photographs and replaces the run.

    Parameters
    ----------
    folder
        Receives the photographs in ``data`` and the run in ``run``.
    seed
        Of the photographs and of the training.

    Returns
    -------
    Path
        The report.
    """
    data, run = folder / "data", folder / "run"
    started = time.monotonic()
    with _step("1/5 drawing photographs (kept if they are there)"):
        generate_dataset(data, seed=seed, progress=sys.stderr.isatty())
    with _step("2/5 training"):
        preset = PRESETS["demo"]
        config = replace(
            preset,
            data=replace(preset.data, folder=data),
            training=replace(preset.training, seed=seed),
        )
        train(config, run, overwrite=(run / "config.json").is_file())
    with _step("3/5 choosing thresholds"):
        tune(run)
    with _step("4/5 evaluating on the test photographs"):
        result = evaluate(run)
    with _step("5/5 reporting"):
        path = report(run)
    in_use = result["rules"][-1]["test"]
    print(
        f"\nIn {(time.monotonic() - started) / 60:.1f} minutes, on drawings and not on patients: "
        f"macro-F1 {with_interval(in_use['macro_f1'], in_use['macro_f1_interval'])}, "
        f"macro-AUROC {with_interval(in_use['macro_auroc'], in_use['macro_auroc_interval'])}; "
        f"calling everything gets a macro-F1 of {number(in_use['macro_f1_all_positive'])}.\n{path}"
    )
    return path


@contextmanager
def _step(title: str) -> Iterator[None]:
    """Print the title of a step before it and its time after it."""
    print(f"\n{title}", flush=True)
    started = time.monotonic()
    yield
    print(f"({time.monotonic() - started:.0f} s)", flush=True)
