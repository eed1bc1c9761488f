"""Severity beside presence: a proportional-odds output for each graded disease.

A disease with grades 0, ..., K - 1 has one direction in feature space and K - 1 ordered cut-points
[1]_:

    P(grade > k) = sigmoid(f(x) - theta_k),  theta_0 < theta_1 < ...

so that all grades teach the same direction, as in CORAL [2]_, and the predicted distribution is
always one. It is fitted by its likelihood, over the images whose grade is known. The outputs stand
behind those for presence, which are the same network's without them.

References
----------
.. [1] McCullagh, "Regression models for ordinal data", JRSS B 42(2), 1980.
.. [2] Cao, Mirjalili, Raschka, "Rank consistent ordinal regression for neural networks with
   application to age estimation", Pattern Recognition Letters 140, 2020.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from examples.rfmid.training.model import Network

_LEAST_GAP = 0.01  # between neighbouring cut-points


class GradedHead(nn.Module):
    """A head, and beside it the logits of ``P(grade > k)`` for each graded disease.

    Parameters
    ----------
    head : nn.Module
        From features to one logit a class.
    width : int
        Number of features.
    levels : sequence of int
        Number of grades of each graded disease.

    Notes
    -----
    Returns shape (n, n_classes + sum(levels) - len(levels)). Features (n, width, ...) are averaged
    over what follows.
    """

    def __init__(self, head: nn.Module, width: int, levels: Sequence[int]) -> None:
        super().__init__()
        self.head = head
        self.norm = nn.LayerNorm(width)
        self.slope = nn.Linear(width, len(levels), bias=False)
        self.first = nn.Parameter(torch.zeros(len(levels)))
        self.gaps = nn.ParameterList([torch.zeros(k - 2) for k in levels])

    def forward(self, features: Tensor) -> Tensor:
        """Return the presence logits, then each disease's grade logits."""
        return torch.cat([self.head(features), self.grade(features)], dim=1)

    def grade(self, features: Tensor) -> Tensor:
        """Return the grade logits alone; those of a disease descend."""
        pooled = features.flatten(2).mean(2) if features.ndim > 2 else features
        severity = self.slope(self.norm(pooled))
        outputs = []
        for g, gaps in enumerate(self.gaps):
            above = F.pad((F.softplus(gaps) + _LEAST_GAP).cumsum(0), (1, 0))
            outputs.append(severity[:, g : g + 1].float() - (self.first[g] + above))
        return torch.cat(outputs, dim=1)


def add_grades(network: Network, levels: Sequence[int], *, image_size: int, seed: int) -> None:
    """Let a network's head also return grade logits; the global random state is left as it was."""
    head = network.model.get_submodule(network.head)
    width = _width(network, head, image_size)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network.model.set_submodule(network.head, GradedHead(head, width, levels))


@contextmanager
def without_grades(model: nn.Module, head: str) -> Iterator[nn.Module]:
    """Take the grades out of a network for a while: it is then as if it never had any."""
    graded = model.get_submodule(head) if head else None
    if not isinstance(graded, GradedHead):
        yield model
        return
    model.set_submodule(head, graded.head)
    try:
        yield model
    finally:
        model.set_submodule(head, graded)


def grade_loss(
    outputs: Tensor, grades: Tensor, levels: Sequence[int], weight: Tensor | None = None
) -> Tensor:
    """Return the mean negative log-likelihood of the known grades; 0 if there is none.

    Parameters
    ----------
    outputs : tensor of shape (n, sum(levels) - len(levels))
        Grade logits.
    grades : tensor of shape (n, len(levels))
        NaN: unknown.
    weight : tensor of shape (n,), optional
        Of each image.

    Notes
    -----
    With a = f - theta_{k-1} and b = f - theta_k, the probability of grade k is
    sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)), which loses no digits.
    """
    known = ~grades.isnan()
    total = outputs.new_zeros((), dtype=torch.float32)
    for g, logits in enumerate(_by_disease(outputs.float(), levels)):
        grade = grades[:, g].nan_to_num(0).long()[:, None]
        upper = F.pad(logits, (1, 0), value=torch.inf).gather(1, grade)[:, 0]
        lower = F.pad(logits, (0, 1), value=-torch.inf).gather(1, grade)[:, 0]
        gap = (upper - lower).clamp(min=1e-6)
        log_p = F.logsigmoid(upper) + F.logsigmoid(-lower) + torch.log(-torch.expm1(-gap))
        counted = known[:, g] if weight is None else known[:, g] * weight
        total = total - (log_p * counted).sum()
    return total / known.sum().clamp(min=1)


def grade_probabilities(outputs: Tensor, levels: Sequence[int]) -> Tensor:
    """Return the probability of each grade, (n, len(levels), max(levels)); 0 beyond the last."""
    found = outputs.new_zeros((len(outputs), len(levels), max(levels)))
    for g, logits in enumerate(_by_disease(outputs, levels)):
        above = F.pad(F.pad(logits.sigmoid(), (1, 0), value=1.0), (0, 1), value=0.0)
        found[:, g, : levels[g]] = above[:, :-1] - above[:, 1:]
    return found


def _by_disease(outputs: Tensor, levels: Sequence[int]) -> Sequence[Tensor]:
    parts: tuple[Tensor, ...] = torch.split(outputs, [k - 1 for k in levels], dim=1)
    return parts


def _width(network: Network, head: nn.Module, image_size: int) -> int:
    """Return how many features the head is given."""
    given: list[Any] = []
    hook = head.register_forward_pre_hook(lambda _, arguments: given.append(arguments[0]))
    training = network.model.training
    try:
        with torch.no_grad():
            network.model.eval()(torch.zeros(1, 3, image_size, image_size))
    finally:
        hook.remove()
        network.model.train(training)
    return int(given[0].shape[1])
