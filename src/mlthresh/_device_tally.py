"""Binning where the scores are: counts of tensors that wait on their device to be fetched."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from mlthresh._bins import Bins

__all__ = ["DeviceTally"]

_BLOCK_ELEMENTS = 1 << 22  # bounds the temporaries, 30 bytes an element


class DeviceTally:
    """Counts by class, label and bin on one device, the whole numbers that `Tally` would hold."""

    def __init__(self, n_classes: int, bins: Bins, device: torch.device) -> None:
        self.device = device
        self._edges = torch.from_numpy(bins.edges).to(device)
        self._high = float(bins.high)
        self._count = torch.zeros((n_classes, 2, len(bins)), dtype=torch.int64, device=device)

    def add_rows(self, labels: torch.Tensor, scores: torch.Tensor) -> bool:
        """Add unweighted rows and return True, or add nothing and return False.

        False stands for tensors of another kind, shape or place, a label that isn't 0, 1 or NaN,
        or a score outside the range. One number is all that is waited for.
        """
        n_classes, _, n_bins = self._count.shape
        if (
            labels.shape != scores.shape
            or scores.shape[1:] != (n_classes,)
            or labels.device != self.device
            or not scores.is_floating_point()
        ):
            return False
        if scores.dtype in (torch.float16, torch.bfloat16):
            scores = scores.float()
        known = (labels == 0) | (labels == 1)
        usable = (known | labels.isnan()) & (scores >= self._edges[0]) & (scores <= self._high)
        if not usable.all():
            return False
        edges = self._edges.to(scores.dtype)
        first = torch.arange(n_classes, device=self.device) * (2 * n_bins) - 1
        step = max(1, _BLOCK_ELEMENTS // n_classes)
        for start in range(0, len(scores), step):
            rows = slice(start, start + step)
            index = torch.bucketize(scores[rows], edges, right=True)
            index += first + (labels[rows] == 1) * n_bins
            added = known[rows].to(torch.int64)
            self._count.view(-1).scatter_add_(0, index.view(-1), added.view(-1))
        return True

    def fetch(self) -> npt.NDArray[np.int64]:
        """Return the counts of shape (n_classes, 2, n_bins), and start again from zero."""
        count = np.asarray(self._count.cpu().numpy().copy())
        self._count.zero_()
        return count
