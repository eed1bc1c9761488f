"""A run folder as training leaves it, with simulated labels and scores instead of a network."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from examples.rfmid.data.glossary import RFMID
from examples.rfmid.data.transforms import Preprocessing
from examples.rfmid.files import write_json, write_json_lines
from examples.rfmid.predictions import Predictions
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.scoring.selection import choose_thresholds, validation_metrics
from examples.rfmid.settings import Config, DataConfig
from examples.rfmid.settings.config_file import save_config
from examples.rfmid.settings.presets import PRESETS
from examples.rfmid.training import model as networks
from mlthresh import save_model

CODES = ("DR", "MH", "ODC", "CRVO", "RPEC")
PREPROCESSING = Preprocessing(image_size=32).to_dict()


def tiny(data: Path, preset: str = "demo", **settings: Any) -> Config:
    """Return the settings of a run of seconds; `settings` are of any section."""
    chosen = {"folder": data, "min_count": 1, "image_size": 32, "epochs": 2, "batch_size": 8}
    chosen |= {"device": "cpu", "threads": 1, "num_workers": 0, **settings}
    config = replace(PRESETS[preset], data=DataConfig())
    for name in (section.name for section in fields(Config)):
        section = getattr(config, name)
        own = {f.name: chosen.pop(f.name) for f in fields(section) if f.name in chosen}
        config = replace(config, **{name: replace(section, **own)})
    assert not chosen, f"no such settings: {sorted(chosen)}"
    return config


def of_photographs(data: Path) -> dict[str, Any]:
    """Return what `simulate_run` takes for a run on the photographs of `shared_data_folder`."""
    splits = ("train", "val", "test")
    return {
        "codes": ("DR", "MH", "BRVO"),
        "labels": {name: np.eye(3, dtype=np.float32)[np.arange(16) % 3] for name in splits},
        "data": data,
        "ids": {"val": tuple(map(str, range(101, 117))), "test": tuple(map(str, range(201, 217)))},
        "n_epochs": 1,
    }


def simulate_labels(
    n: int, n_classes: int, rng: np.random.Generator, *, commonest: float = 0.2
) -> npt.NDArray[np.float32]:
    """Long-tailed labels: each class is rarer than the one before, none is absent."""
    prevalence = commonest * 0.75 ** np.arange(n_classes)
    labels = (rng.random((n, n_classes)) < np.maximum(prevalence, 0.01)).astype(np.float32)
    labels[rng.integers(n, size=n_classes), np.arange(n_classes)] = 1
    return labels


def simulate_scores(
    labels: npt.NDArray[np.float32], rng: np.random.Generator, separation: float = 2.0
) -> npt.NDArray[np.float32]:
    """Scores as a focal loss leaves them: squeezed toward the middle."""
    logits = 0.4 * (rng.normal(size=labels.shape) + separation * np.nan_to_num(labels)) - 1.0
    return (1 / (1 + np.exp(-logits))).astype(np.float32)


def simulate_run(
    run: Path,
    *,
    codes: tuple[str, ...] = CODES,
    labels: dict[str, npt.NDArray[np.float32]] | None = None,
    n_epochs: int = 6,
    data: Path = Path("data"),
    config: Config | None = None,
    image_folders: dict[str, str] | None = None,
    ids: dict[str, tuple[str, ...]] | None = None,
    n_patients: int | None = None,
    subgroups: dict[str, list[str]] | None = None,
    seed: int = 0,
) -> RunFolder:
    """Write config, data, metrics and predictions; no thresholds and no model."""
    rng = np.random.default_rng(seed)
    if labels is None:
        sizes = {"train": 400, "val": 160, "test": 200}
        labels = {name: simulate_labels(n, len(codes), rng) for name, n in sizes.items()}
    run.mkdir(parents=True, exist_ok=True)
    folder = RunFolder(run)
    config = config or PRESETS["demo"]
    config = replace(config, data=replace(config.data, folder=data))
    save_config(folder.config, config)
    write_json(folder.data, _summary(codes, labels, data, image_folders))
    for name in ("val", "test"):
        n = len(labels[name])
        Predictions(
            ids=ids[name] if ids else tuple(f"{name}_{k}" for k in range(n)),
            class_names=codes,
            y_true=labels[name],
            y_score=simulate_scores(labels[name], rng),
            patients=n_patients and tuple(str(k % n_patients) for k in range(n)),
            subgroups={
                column: tuple(values[k % len(values)] for k in range(n))
                for column, values in (subgroups or {}).items()
            },
        ).save(folder.predictions(name))
    write_json_lines(
        folder.metrics,
        [_epoch(e, n_epochs, config, codes, labels["val"], rng) for e in range(n_epochs)],
    )
    return folder


def choose_as_trained(folder: RunFolder) -> None:
    """Write the thresholds that the deck would have chosen."""
    val = Predictions.load(folder.predictions("val"))
    choose_thresholds(PRESETS["after"].thresholds, val).save(folder.path / "thresholds.json")


def build_network(n_classes: int) -> nn.Module:
    """The architecture that the simulated runs' config names."""
    return networks.build_network("convnext_demo", n_classes, seed=1).model


def tiny_network(n_classes: int, pretrained: bool = False) -> tuple[nn.Module, str]:
    """A factory of networks that are quick to export, and the name of their head."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        features = nn.Sequential(nn.Conv2d(3, 4, 5, stride=4), nn.BatchNorm2d(4), nn.ReLU())
        head = nn.Linear(4, n_classes)
        nn.init.normal_(head.weight, std=4.0)
    layers = {"features": features, "pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
    return nn.Sequential(OrderedDict(layers, head=head)), "head"


def with_tiny_network() -> Config:
    """The simulated runs' configuration with that architecture."""
    config = PRESETS["demo"]
    factory = "tests.rfmid.simulation:tiny_network"
    return replace(config, model=replace(config.model, architecture=factory))


def save_network(
    folder: RunFolder,
    *,
    preprocessing: dict[str, Any] | None = PREPROCESSING,
    versions: dict[str, str] | None = None,
    network: nn.Module | None = None,
) -> nn.Module:
    """Save an untrained network beside the predictions, as training does; return it."""
    val = Predictions.load(folder.predictions("val"))
    thresholds = choose_thresholds(PRESETS["demo"].thresholds, val)
    if network is None:
        network = build_network(len(val.class_names))
        with torch.no_grad():  # logits around the thresholds, so that decisions differ
            network.classifier[2].weight.mul_(40)
    save_model(
        folder.path,
        network,
        thresholds,
        preprocessing=preprocessing,
        metadata={
            "disease_names": [RFMID.get(code, code) for code in val.class_names],
            "versions": versions,
        },
    )
    return network


def _epoch(
    epoch: int,
    n_epochs: int,
    config: Config,
    codes: tuple[str, ...],
    labels: npt.NDArray[np.float32],
    rng: np.random.Generator,
) -> dict[str, object]:
    progress = (epoch + 1) / n_epochs
    scores = simulate_scores(labels, rng, separation=2.5 * progress)
    return {
        "epoch": epoch + 1,
        "train_loss": 0.1 / (1 + 3 * progress),
        "val_loss": 0.1 / (1 + 2 * progress),
        **validation_metrics(
            config.thresholds,
            Predictions(tuple(map(str, range(len(labels)))), codes, labels, scores),
        ),
        "lr": {"backbone": 1e-3 * (1.01 - progress), "head": 2e-3 * (1.01 - progress)},
        "seconds": 12.5,
        "images_per_second": 160.0,
    }


def _summary(
    codes: tuple[str, ...],
    labels: dict[str, npt.NDArray[np.float32]],
    data: Path,
    image_folders: dict[str, str] | None,
) -> dict[str, object]:
    named = {"train": "Training", "val": "Validation", "test": "Test"}
    return {
        "classes": [
            {
                "code": code,
                "name": RFMID.get(code, code),
                "counts": {name: int((labels[name][:, c] == 1).sum()) for name in named},
            }
            for c, code in enumerate(codes)
        ],
        "min_count": 20,
        "dropped_classes": [{"code": "ERM", "name": "epiretinal membrane", "count": 7}],
        "left_out_columns": ["Disease_Risk"],
        "splits": {
            name: {
                "images": len(labels[name]),
                "image_folder": image_folders[name] if image_folders else str(data / folder),
                "label_file": str(data / f"{folder}_Labels.csv"),
                "patients": None,
                "without_disease": int((~(labels[name] == 1).any(axis=1)).sum()),
                "without_disease_in_all_columns": 3,
                "missing_labels": int(np.isnan(labels[name]).sum()),
                "unlabelled_images_skipped": 0,
            }
            for name, folder in named.items()
        },
        "warnings": [],
        "digest": "0" * 32,
    }
