"""The learning-rate range test: raise the rate from step to step and watch the loss (Smith 2017).

L. N. Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from examples.rfmid.data.dataset import key
from examples.rfmid.data.splits import load_data
from examples.rfmid.errors import RecipeError
from examples.rfmid.files import write_json
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.settings import Config
from examples.rfmid.training.device import torch_settings
from examples.rfmid.training.session import Session, build_session
from examples.rfmid.training.step import loading_errors, progress, training_step
from examples.rfmid.training.world import joined_world

_WIDTH = 1 / 40  # of the smoothing, as a part of the sweep; a batch's loss jumps about
_DIVERGED = 4.0  # times the smallest smoothed loss


def find_lr(
    config: Config, run: Path, *, lr_min: float = 1e-7, lr_max: float = 1.0, steps: int = 100
) -> dict[str, Any]:
    """Sweep the base learning rate on fresh weights, and write ``lr_finder.json`` and its figure.

    Parameters
    ----------
    config
        Settings, as for train.
    run
        Folder for lr_finder.json and figures/lr_finder.png; nothing else in it is touched.
    lr_min
        First value of --lr; the parameter groups keep their ratio.
    lr_max
        Last value.
    steps
        Steps from the first value to the last, each by the same factor; fewer are made where the
        loss diverges.

    Returns
    -------
    dict
        ``lr``, ``loss``, ``smoothed_loss`` of the steps; ``suggestion`` as `suggest` returns it.

    Raises
    ------
    RecipeError
        On bad data, weights or settings, or if the loss diverges at once.
    """
    if not 0 < lr_min < lr_max < math.inf or steps < 10:
        raise RecipeError(
            "0 < lr_min < lr_max and at least 10 steps are needed, "
            f"got {lr_min}, {lr_max} and {steps}"
        )
    config = replace(config, data=config.data.absolute())
    folder = RunFolder(run)
    with torch_settings(config), joined_world(config.runtime.device) as world:
        with world.main_first():
            data = load_data(config.data)
        session = build_session(config, data, world)
        with loading_errors(lambda: "nothing was written"):
            rates, losses = sweep(session, np.geomspace(lr_min, lr_max, steps))
        del session  # which holds on to the process group; see `joined_world`
        curve = smoothed(losses)
        result = {
            "lr": rates.tolist(),
            "loss": losses.tolist(),
            "smoothed_loss": curve.tolist(),
            "suggestion": suggest(rates, curve),
        }
        if world.is_main:
            _write(folder, config, result)
    return result


def sweep(
    session: Session, rates: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Make a step at each base rate; return the rates and the losses until it diverged."""
    base = session.config.optimizer.lr
    scales = [group["lr"] / base for group in session.optimizer.param_groups]
    losses: list[float] = []
    with torch.random.fork_rng(devices=[session.device] if session.device.type == "cuda" else []):
        torch.manual_seed(key(session.config.training.seed, 0, -1 - session.world.rank))
        session.model.train()
        while len(losses) < len(rates):
            session.sampler.set_epoch(session.sampler.epoch + 1 if losses else 0)
            for batch in progress(session, session.train_loader, "raising the learning rate"):
                for group, scale in zip(session.optimizer.param_groups, scales, strict=True):
                    group["lr"] = rates[len(losses)] * scale
                loss, _ = training_step(session, batch)
                losses.append(float(session.world.sum(loss)) / session.world.size)
                if len(losses) == len(rates) or _has_diverged(losses):
                    return rates[: len(losses)], np.array(losses)
    return rates, np.array(losses)


def _has_diverged(losses: list[float]) -> bool:
    if not math.isfinite(losses[-1]):
        losses.pop()
        return True
    curve = smoothed(np.array(losses))
    return bool(curve[-1] > _DIVERGED * curve.min())


def smoothed(losses: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the average of each step's neighbours, weighted by a Gaussian.

    It looks to both sides: the usual exponential average lags behind, by a decade or more of the
    rate, and so calls rates good at which the loss rises already.
    """
    steps = np.arange(len(losses))
    width = max(1.0, _WIDTH * len(losses))
    weights = np.exp(-0.5 * ((steps[:, None] - steps) / width) ** 2)
    curve: npt.NDArray[np.float64] = weights @ losses / weights.sum(axis=1)
    return curve


def suggest(
    rates: npt.NDArray[np.float64], curve: npt.NDArray[np.float64]
) -> dict[str, float | None]:
    """Return the base rates that the smoothed curve speaks for.

    Returns
    -------
    dict
        ``steepest``: where the loss falls fastest with the rate's logarithm, before its minimum;
        ``minimum_tenth``: a tenth of the rate at the minimum. None where the loss never fell.
    """
    lowest = int(np.argmin(curve))
    reach = max(1, len(curve) // 10)  # a slope over fewer steps is noise
    middles = np.arange(reach, lowest - reach + 1)
    if not len(middles):
        return {"steepest": None, "minimum_tenth": None}
    falls = curve[middles - reach] - curve[middles + reach]
    return {
        "steepest": float(rates[middles[np.argmax(falls)]]),
        "minimum_tenth": float(rates[lowest] / 10),
    }


def _write(folder: RunFolder, config: Config, result: dict[str, Any]) -> None:
    from examples.rfmid.reporting.figures.learning_rate import learning_rate_sweep
    from examples.rfmid.reporting.figures.style import save_figure

    folder.create()
    folder.figures.mkdir(exist_ok=True)
    write_json(folder.path / "lr_finder.json", result)
    path = folder.figures / "lr_finder.png"
    figure = learning_rate_sweep(
        result["lr"],
        result["loss"],
        result["smoothed_loss"],
        result["suggestion"],
        config.optimizer.lr,
    )
    save_figure(figure, path)
    for name, rate in result["suggestion"].items():
        shown = "the loss never fell" if rate is None else f"--lr {rate:.2g}"
        print(f"{_MEANING[name]}: {shown}")
    print(f"the settings' --lr is {config.optimizer.lr:g}; {path}")


_MEANING = {
    "steepest": "where the loss falls fastest",
    "minimum_tenth": "a tenth of the rate at the lowest loss",
}
