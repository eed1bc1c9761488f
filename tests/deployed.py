"""A network with what can go wrong, and thresholds for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from mlthresh.threshold_set import ThresholdSet
from mlthresh.thresholds import find_optimal_thresholds


def make_thresholds(
    values: Any = (0.3, 0.5, np.inf), dtype: Any = np.float32, scale: Any = "probability"
) -> ThresholdSet:
    array = np.array(values, dtype=dtype)
    labels = np.eye(len(array), dtype=int)
    names = [f"disease {i}" for i in range(len(array))]
    found = find_optimal_thresholds(labels, labels.astype(dtype), class_names=names)
    return replace(found, thresholds=array, score_scale=scale)


class Network(nn.Module):
    """Has what can go wrong: tied weights, integer state, batch statistics, views."""

    def __init__(self, n_classes: int = 3, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.encode = nn.Linear(4, 4, bias=False)
        self.decode = nn.Linear(4, 4, bias=False)
        self.decode.weight = self.encode.weight
        self.norm = nn.BatchNorm1d(4)
        self.dropout = nn.Dropout(0.5)
        self.classifier = nn.Linear(4, n_classes)
        table = torch.arange(12.0).reshape(3, 4)
        self.register_buffer("row", table[1])
        self.register_buffer("transposed", table.T)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.normal_(generator=generator)
            self.norm.running_mean.normal_(generator=generator)
            self.norm.num_batches_tracked.fill_(7 + seed)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.decode(torch.relu(self.encode(x))) + self.row
        return self.classifier(self.dropout(self.norm(x)))


INPUTS = torch.randn(64, 4, generator=torch.Generator().manual_seed(5))
