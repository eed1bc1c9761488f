"""What a training run prints."""

from __future__ import annotations

import sys
from typing import Any

from examples.rfmid.data.splits import FundusData
from examples.rfmid.settings import Config

__all__ = ["report_data", "report_epoch"]


def report_data(data: FundusData) -> None:
    """Print sizes, classes, what was left out, and warnings."""
    sizes = " / ".join(str(len(split)) for split in data.splits.values())
    print(f"{sizes} images (training / validation / test), {len(data.class_names)} classes")
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
    auroc = metrics["val_macro_auroc"]
    print(
        f"epoch {metrics['epoch']:>3}/{config.training.epochs}"
        f"  loss {metrics['train_loss']:.4f}  val loss {metrics['val_loss']:.4f}"
        f"  macro-F1 {metrics['val_macro_f1_tuned']:.3f}"
        f" (at 0.5: {metrics['val_macro_f1_at_half']:.3f})"
        f"  AUROC {'-' if auroc is None else f'{auroc:.3f}'}"
        f"  {metrics['seconds']:.0f} s, {metrics['images_per_second']:.0f} images/s"
        f"{'  best' if is_best else ''}",
        flush=True,
    )
