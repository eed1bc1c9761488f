"""Train, select, tune and save: plain PyTorch, from top to bottom.

Draws, augmentation and stochastic depth are functions of the seed and the epoch, so a run that was
broken off, even by ``kill -9``, and resumed ends, on a CPU, exactly as the unbroken one.
"""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from examples.rfmid.data.dataset import key
from examples.rfmid.data.splits import FundusData, load_data
from examples.rfmid.errors import RecipeError
from examples.rfmid.files import write_json, write_json_lines, writing
from examples.rfmid.grades import Grades
from examples.rfmid.predictions import Predictions
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.scoring.selection import choose_thresholds, is_better, validation_metrics
from examples.rfmid.settings import Config
from examples.rfmid.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from examples.rfmid.training.console import report_data, report_epoch
from examples.rfmid.training.device import torch_settings
from examples.rfmid.training.grading import grade_loss, grade_probabilities, without_grades
from examples.rfmid.training.kept import keep_outputs
from examples.rfmid.training.resume import check_claim, claim_folder, claimed, has_whole_model
from examples.rfmid.training.saved_grades import save_grades
from examples.rfmid.training.session import Session, build_session
from examples.rfmid.training.step import loading_errors, predict_logits, progress, training_step
from examples.rfmid.training.versions import installed_versions
from examples.rfmid.training.world import joined_world
from mlthresh import save_model


def train(config: Config, run: Path, *, resume: bool = False, overwrite: bool = False) -> None:
    """Train a classifier and leave everything the later steps need in a run folder.

    Parameters
    ----------
    config
        Settings.
    run
        Run folder: everything is written there.
    resume
        Go on after the last whole epoch of the run in the folder, with its settings.
    overwrite
        Delete the run in the folder.

    Raises
    ------
    RecipeError
        On bad data, weights, settings or an unsuitable run folder, before the first epoch; or if
        the loss diverges.
    """
    folder = RunFolder(run)
    config = replace(config, data=config.data.absolute())
    with torch_settings(config), joined_world(config.runtime.device) as world:
        with world.main_first():
            if world.is_main:
                check_claim(folder, config, resume=resume, overwrite=overwrite)
            data = load_data(config.data)
            report_data(data)
            checkpoint = _checkpoint_to_resume(folder, data) if resume else None
        with claimed(folder) if world.is_main else nullcontext():
            session = build_session(
                config,
                data,
                world,
                pretrained=checkpoint is None,
                checked_images=folder.checked_images,
            )
            if world.is_main:
                claim_folder(folder, config, overwrite=overwrite)
                write_json(folder.data, data.summary)
            # Twice, as a second death (training's and validation's images have processes of their
            # own) may be raised while the first is being handled.
            kept = partial(_what_is_kept, folder)
            with loading_errors(kept), loading_errors(kept):
                _train(session, folder, checkpoint)
            del session  # which holds on to the process group; see `joined_world`


def _train(session: Session, folder: RunFolder, checkpoint: Checkpoint | None) -> None:
    """Run the epochs that are left, and save the best model."""
    config, world = session.config, session.world
    history, best_epoch, best_model = [], -1, _weights_of(session.model)
    if checkpoint is not None:
        session.model.load_state_dict(checkpoint.model)
        session.optimizer.load_state_dict(checkpoint.optimizer)
        session.scheduler.load_state_dict(checkpoint.scheduler)
        history, best_epoch = checkpoint.history, checkpoint.best_epoch
        best_model = checkpoint.best_model
        if world.is_main:
            write_json_lines(folder.metrics, history)

    started = time.monotonic()
    for epoch in range(len(history), config.training.epochs):
        if _stalled(history, best_epoch, config.training.patience):
            break
        if world.is_main:
            # They'd be of an earlier epoch.
            for path in (folder.manifest, folder.weights, folder.grades, *folder.exports.values()):
                path.unlink(missing_ok=True)
        history.append(_run_epoch(session, folder, epoch))
        if best_epoch < 0 or is_better(
            config.training.selection, history[epoch], history[best_epoch]
        ):
            best_epoch, best_model = epoch, _weights_of(session.model)
        if world.is_main:
            _save_state(session, folder, history, best_epoch, best_model)
            report_epoch(history[epoch], config, is_best=best_epoch == epoch)
        limit = config.runtime.max_minutes
        if limit is not None and world.agree(time.monotonic() - started > 60 * limit):
            print(f"stopped by --max-minutes {limit:g}; --resume goes on")
            break

    with without_grades(session.whole, session.head) as network:
        has_ended = world.agree(world.is_main and has_whole_model(folder, network))
    if has_ended:
        print(f"the run in {folder.path} had ended already")
        return
    session.model.load_state_dict(best_model)
    _finish(session, folder, history[best_epoch])


def _what_is_kept(folder: RunFolder) -> str:
    n_epochs = folder.metrics.read_text("utf-8").count("\n") if folder.metrics.is_file() else 0
    whole = "1 whole epoch is" if n_epochs == 1 else f"{n_epochs or 'no'} whole epochs are"
    return f"{whole} kept for --resume"


def _run_epoch(session: Session, folder: RunFolder, epoch: int) -> dict[str, Any]:
    """Train one epoch, validate, step the schedule; return the line for ``metrics.jsonl``."""
    rates = {group["name"]: group["lr"] for group in session.optimizer.param_groups}
    started = time.monotonic()
    train_loss = _train_epoch(session, epoch)
    train_seconds = time.monotonic() - started
    session.scheduler.step()
    logits = predict_logits(session, "val", f"epoch {epoch + 1} validation")
    if session.config.training.keep_epoch_predictions:
        keep_outputs(session, folder, epoch, logits)
    labels = torch.from_numpy(session.data.val.labels)
    of_presence = logits[:, : session.n_classes].to(session.device)
    val_loss = float(session.criterion(of_presence, labels.to(session.device)))
    if not (math.isfinite(train_loss) and math.isfinite(val_loss)):
        raise RecipeError(
            f"the loss of epoch {epoch + 1} is not finite (training {train_loss}, validation "
            f"{val_loss}): lower --lr, or check --clip-norm and --amp"
        )
    return session.world.agree(
        {
            "epoch": epoch + 1,
            "train_loss": train_loss,
            "val_loss": val_loss,
            **validation_metrics(session.config.thresholds, _predictions(session, "val", logits)),
            **_grade_metrics(session, logits),
            "lr": rates,
            "seconds": time.monotonic() - started,
            "images_per_second": len(session.sampler) * session.world.size / train_seconds,
        }
    )


def _grade_metrics(session: Session, outputs: Tensor) -> dict[str, float]:
    """Return the validation loss of the grades, where they are learnt."""
    levels = tuple(session.data.grade_levels.values())
    if not levels:
        return {}
    grades = torch.from_numpy(session.data.grades("val"))
    loss = grade_loss(outputs[:, session.n_classes :], grades, levels)
    return {"val_grade_loss": float(loss)}


def _train_epoch(session: Session, epoch: int) -> float:
    """Return the mean training loss."""
    device, rank = session.device, session.world.rank
    total, n_images = torch.zeros((), device=device), 0
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        # of the stochastic depth
        torch.manual_seed(key(session.config.training.seed, epoch, -1 - rank))
        session.sampler.set_epoch(epoch)
        session.model.train()
        for batch in progress(session, session.train_loader, f"epoch {epoch + 1}"):
            loss, n = training_step(session, batch)
            total += loss * n
            n_images += n
    return float(session.world.sum(total / n_images)) / session.world.size


def _predictions(session: Session, split: str, outputs: Tensor) -> Predictions:
    of = session.data.splits[split]
    # float64: in float32 a confident focal loss's probabilities all round to 1.
    link = torch.sigmoid if session.posterior is None else session.posterior
    logits = outputs[:, : session.n_classes]
    return Predictions(
        ids=of.ids,
        class_names=session.data.class_names,
        y_true=of.labels,
        y_score=link(logits.double()).numpy(),
        patients=of.patients,
        subgroups=of.subgroups,
        y_logit=logits.numpy(),
        grades=_grades(session, split, outputs),
    )


def _grades(session: Session, split: str, outputs: Tensor) -> Grades | None:
    levels = session.data.grade_levels
    if not levels:
        return None
    sizes = tuple(levels.values())
    prob = grade_probabilities(outputs[:, session.n_classes :].double(), sizes)
    return Grades(tuple(levels), sizes, session.data.grades(split), prob.numpy())


def _weights_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


def _stalled(history: list[dict[str, Any]], best_epoch: int, patience: int) -> bool:
    stalled = bool(history) and len(history) - 1 - best_epoch >= patience
    if stalled:
        print(f"no better model for {patience} epochs: stopped")
    return stalled


def _checkpoint_to_resume(folder: RunFolder, data: FundusData) -> Checkpoint | None:
    """Return the last checkpoint, or None if the run was broken off before the first."""
    if not folder.checkpoint.is_file():
        return None
    checkpoint = load_checkpoint(folder.checkpoint)
    if checkpoint.data_digest != data.summary["digest"]:
        raise RecipeError(
            "the data has changed since the run was started: other images, labels or classes"
        )
    return checkpoint


def _save_state(
    session: Session,
    folder: RunFolder,
    history: list[dict[str, Any]],
    best_epoch: int,
    best_model: dict[str, Tensor],
) -> None:
    """Write what a resumed run needs, and the metrics so far."""
    checkpoint = Checkpoint(
        model=session.model.state_dict(),
        best_model=best_model,
        optimizer=session.optimizer.state_dict(),
        scheduler=session.scheduler.state_dict(),
        history=history,
        best_epoch=best_epoch,
        data_digest=session.data.summary["digest"],
    )
    save_checkpoint(folder.checkpoint, checkpoint)
    write_json_lines(folder.metrics, history)


def _finish(session: Session, folder: RunFolder, best: dict[str, Any]) -> None:
    """Write the selected model's scores, its thresholds and itself."""
    data, config = session.data, session.config
    predictions = {
        name: _predictions(session, name, predict_logits(session, name, f"predicting {name}"))
        for name in session.eval_loaders
    }
    if not session.world.is_main:
        return
    for name, predicted in predictions.items():
        predicted.save(folder.predictions(name))
    thresholds = choose_thresholds(config.thresholds, predictions["val"])
    graded: dict[str, Any] = {}
    if data.grade_levels:
        head = session.whole.get_submodule(session.head)
        graded = {"grades": save_grades(folder, head, data.grade_levels)}
    with writing(folder.weights), without_grades(session.whole, session.head) as network:
        save_model(
            folder.path,
            network.cpu(),
            thresholds,
            posterior=session.posterior,
            preprocessing=session.preprocessing.to_dict(),
            metadata={
                "architecture": config.model.architecture,
                "class_names": list(data.class_names),
                "disease_names": [entry["name"] for entry in data.summary["classes"]],
                "epoch": best["epoch"],
                "versions": installed_versions(),
                **graded,
            },
        )
    cross_fitted = best["val_macro_f1_cross_fitted"]
    print(
        f"the model of epoch {best['epoch']} is in {folder.path}: validation macro-F1 "
        f"{'-' if cross_fitted is None else f'{cross_fitted:.3f}'} with thresholds chosen by other "
        f"patients, {best['val_macro_f1_tuned']:.3f} with those chosen on the same labels"
    )
