"""Train, select, tune and save: plain PyTorch, from top to bottom.

Draws, augmentation and stochastic depth are functions of the seed and the epoch, so a run that was
broken off and resumed ends, on a CPU, exactly as the unbroken one.
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from examples.rfmid.data.dataset import key
from examples.rfmid.data.splits import FundusData, load_data
from examples.rfmid.errors import RecipeError
from examples.rfmid.runfolder import Predictions, RunFolder, write_json, write_json_lines
from examples.rfmid.scoring.selection import choose_thresholds, is_better, validation_metrics
from examples.rfmid.settings import Config
from examples.rfmid.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from examples.rfmid.training.console import report_data, report_epoch
from examples.rfmid.training.device import autocast, choose_device, torch_settings
from examples.rfmid.training.resume import check_claim, claim_folder
from examples.rfmid.training.session import Session, build_session
from mlthresh import save_model

__all__ = ["train"]


def train(config: Config, run: Path, *, resume: bool = False, overwrite: bool = False) -> None:
    """Train a classifier and leave everything the later steps need in a run folder.

    Parameters
    ----------
    config : Config
    run : Path
        Run folder; must not hold a run unless `resume` or `overwrite` is set.
    resume : bool
        Continue the run in the folder after its last whole epoch.
    overwrite : bool
        Delete the run in the folder first.

    Raises
    ------
    RecipeError
        On bad data, weights, settings or an unsuitable run folder, before the first epoch; or if
        the loss diverges.
    """
    folder = RunFolder(run)
    config = replace(config, data=config.data.absolute())
    with torch_settings(config):
        check_claim(folder, config, resume=resume, overwrite=overwrite)
        device = choose_device(config.runtime.device)
        data = load_data(config.data)
        report_data(data)
        checkpoint = _checkpoint_to_resume(folder, data) if resume else None
        folder.create()
        session = build_session(config, data, folder, device, pretrained=checkpoint is None)
        claim_folder(folder, config, overwrite=overwrite)
        write_json(folder.data, data.summary)
        history, best_epoch, best_model = [], -1, _weights_of(session.model)
        if checkpoint is not None:
            session.model.load_state_dict(checkpoint.model)
            session.optimizer.load_state_dict(checkpoint.optimizer)
            session.scheduler.load_state_dict(checkpoint.scheduler)
            history, best_epoch = checkpoint.history, checkpoint.best_epoch
            best_model = checkpoint.best_model
            write_json_lines(folder.metrics, history)

        started = time.monotonic()
        for epoch in range(len(history), config.training.epochs):
            if _stalled(history, best_epoch, config.training.patience):
                break
            for path in (folder.manifest, folder.weights):  # they'd be of an earlier epoch
                path.unlink(missing_ok=True)
            history.append(_run_epoch(session, epoch))
            if best_epoch < 0 or is_better(
                config.training.selection, history[epoch], history[best_epoch]
            ):
                best_epoch, best_model = epoch, _weights_of(session.model)
            save_checkpoint(
                folder.checkpoint,
                Checkpoint(
                    model=session.model.state_dict(),
                    best_model=best_model,
                    optimizer=session.optimizer.state_dict(),
                    scheduler=session.scheduler.state_dict(),
                    history=history,
                    best_epoch=best_epoch,
                    data_digest=data.summary["digest"],
                ),
            )
            write_json_lines(folder.metrics, history)
            report_epoch(history[epoch], config, is_best=best_epoch == epoch)
            limit = config.runtime.max_minutes
            if limit is not None and time.monotonic() - started > 60 * limit:
                print(f"stopped by --max-minutes {limit:g}; --resume goes on")
                break

        if folder.manifest.is_file():
            print(f"the run in {folder.path} had ended already")
            return
        session.model.load_state_dict(best_model)
        _finish(session, folder, history[best_epoch])


def _run_epoch(session: Session, epoch: int) -> dict[str, Any]:
    """Train one epoch, validate, step the schedule; return the line for ``metrics.jsonl``."""
    rates = {group["name"]: group["lr"] for group in session.optimizer.param_groups}
    started = time.monotonic()
    train_loss = _train_epoch(session, epoch)
    train_seconds = time.monotonic() - started
    session.scheduler.step()
    logits = _logits(session, "val", f"epoch {epoch + 1} validation")
    labels = torch.from_numpy(session.data.val.labels)
    criterion = session.criterion
    val_loss = float(criterion(logits.to(session.device), labels.to(session.device)))
    if not (math.isfinite(train_loss) and math.isfinite(val_loss)):
        raise RecipeError(
            f"the loss of epoch {epoch + 1} is not finite (training {train_loss}, validation "
            f"{val_loss}): lower --lr, or check --clip-norm and --amp"
        )
    return {
        "epoch": epoch + 1,
        "train_loss": train_loss,
        "val_loss": val_loss,
        **validation_metrics(session.config.thresholds, _predictions(session, "val", logits)),
        "lr": rates,
        "seconds": time.monotonic() - started,
        "images_per_second": len(session.sampler) / train_seconds,
    }


def _train_epoch(session: Session, epoch: int) -> float:
    """Return the mean training loss."""
    config, device = session.config, session.device
    total, n_images = torch.zeros((), device=device), 0
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(key(config.training.seed, epoch, -1))  # of the stochastic depth
        session.sampler.set_epoch(epoch)
        session.model.train()
        for images, labels in _progress(session.train_loader, f"epoch {epoch + 1}"):
            images = images.to(device, non_blocking=True)
            labels = labels.to(device, non_blocking=True)
            with autocast(config, device):
                logits = session.model(images)
            loss = session.criterion(logits, labels)
            session.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if config.optimizer.clip_norm is not None:
                nn.utils.clip_grad_norm_(session.model.parameters(), config.optimizer.clip_norm)
            session.optimizer.step()
            total += loss.detach() * len(images)
            n_images += len(images)
    return float(total) / n_images


@torch.inference_mode()
def _logits(session: Session, split: str, description: str) -> Tensor:
    """Return the logits of every image of a split in its order, float32 on the CPU."""
    session.model.eval()
    batches = []
    for images in _progress(session.eval_loaders[split], description):
        with autocast(session.config, session.device):
            logits = session.model(images.to(session.device, non_blocking=True))
        batches.append(logits.float().cpu())
    return torch.cat(batches)


def _predictions(session: Session, split: str, logits: Tensor) -> Predictions:
    of = session.data.splits[split]
    # float64: in float32 a confident focal loss's probabilities all round to 1.
    link = torch.sigmoid if session.posterior is None else session.posterior
    return Predictions(
        ids=of.ids,
        class_names=session.data.class_names,
        y_true=of.labels,
        y_score=link(logits.double()).numpy(),
        patients=of.patients,
        y_logit=logits.numpy(),
    )


def _progress(loader: DataLoader[Any], description: str) -> Any:
    return tqdm(loader, desc=description, leave=False, disable=not sys.stderr.isatty())


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


def _finish(session: Session, folder: RunFolder, best: dict[str, Any]) -> None:
    """Write the selected model's scores, its thresholds and itself."""
    data, config = session.data, session.config
    for name in session.eval_loaders:
        logits = _logits(session, name, f"predicting {name}")
        _predictions(session, name, logits).save(folder.predictions(name))
    thresholds = choose_thresholds(config.thresholds, Predictions.load(folder.predictions("val")))
    save_model(
        folder.path,
        session.model.cpu(),
        thresholds,
        posterior=session.posterior,
        preprocessing=session.preprocessing.to_dict(),
        metadata={
            "architecture": config.model.architecture,
            "class_names": list(data.class_names),
            "disease_names": [entry["name"] for entry in data.summary["classes"]],
            "epoch": best["epoch"],
        },
    )
    cross_fitted = best["val_macro_f1_cross_fitted"]
    print(
        f"the model of epoch {best['epoch']} is in {folder.path}: validation macro-F1 "
        f"{'-' if cross_fitted is None else f'{cross_fitted:.3f}'} with thresholds chosen by other "
        f"patients, {best['val_macro_f1_tuned']:.3f} with those chosen on the same labels"
    )
