"""What a training run prints."""

from __future__ import annotations

import sys
from typing import Any

from examples.rfmid.data.splits import FundusData
from examples.rfmid.settings import Config

_SPLITS = {"train": "training", "val": "validation", "certify": "set aside", "test": "test"}


def report_data(data: FundusData) -> None:
    """Print sizes, classes, what was left out, and warnings."""
    sizes = ", ".join(f"{len(split)} {_SPLITS[name]}" for name, split in data.splits.items())
    print(f"images: {sizes}; {len(data.class_names)} classes")
    dropped = data.summary["dropped_classes"]
    if dropped:
        listed = ", ".join(f"{entry['code']} {entry['count']}" for entry in dropped)
        print(f"dropped, with fewer than {data.summary['min_count']} training images: {listed}")
    if data.summary["left_out_columns"]:
        print(f"columns that are no classes: {', '.join(data.summary['left_out_columns'])}")
    for warning in data.summary["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)


def report_epoch(metrics: dict[str, Any], config: Config, *, is_best: bool) -> None:
    """Print one line."""
    shown = {
        name: "-" if metrics[name] is None else f"{metrics[name]:.3f}"
        for name in metrics
        if name.startswith("val_macro_")
    }
    print(
        f"epoch {metrics['epoch']:>3}/{config.training.epochs}"
        f"  loss {metrics['train_loss']:.4f}  val loss {metrics['val_loss']:.4f}"
        f"  macro-F1 {shown['val_macro_f1_cross_fitted']}"
        f" (apparent: {shown['val_macro_f1_tuned']}"
        f", at 0.5: {shown['val_macro_f1_at_half']})"
        f"  AUROC {shown['val_macro_auroc']}"
        f"  {metrics['seconds']:.0f} s, {metrics['images_per_second']:.0f} images/s"
        f"{'  best' if is_best else ''}",
        flush=True,
    )
