"""A head that starts where the labels' frequencies say, rather than at even odds.

From a bias of 0, a rare class's first thousand steps would go into learning that it is rare.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from examples.rfmid.errors import RecipeError
from examples.rfmid.training.initial_weights import last_layer
from examples.rfmid.training.model import Network
from mlthresh import FocalPosterior

_FAR = 1000.0  # a logit that no pos_weight in float64 moves to the other side of 0
_HALVINGS = 80  # of an interval of 2 _FAR: down to float64's resolution


def prevalence_logits(
    labels: npt.NDArray[np.float32], posterior: FocalPosterior
) -> npt.NDArray[np.float64]:
    """Return the logits that a loss's inverse link turns into the classes' prevalences.

    Parameters
    ----------
    labels : array of shape (n, k)
        1, 0, or NaN where unknown. A class without positives, or without negatives, counts as
        having half of one.
    posterior : FocalPosterior
        The inverse link: strictly increasing, so the logit is found by bisection.

    Returns
    -------
    array of shape (k,)
    """
    known = np.maximum((~np.isnan(labels)).sum(axis=0), 1)
    positives = np.clip(np.nansum(labels, axis=0, dtype=np.float64), 0.5, known - 0.5)
    log_odds = np.log(positives) - np.log(known - positives)
    low: npt.NDArray[np.float64] = np.full_like(log_odds, -_FAR)
    high = -low
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        below = posterior.logits(middle) < log_odds
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2


def start_at_prevalence(
    network: Network, labels: npt.NDArray[np.float32], posterior: FocalPosterior
) -> None:
    """Set the biases of the head's last layer to `prevalence_logits`."""
    names = [name for name in last_layer(network.model, network.head) if name.endswith(".bias")]
    start = torch.from_numpy(prevalence_logits(labels, posterior))
    bias = network.model.get_parameter(names[0]) if names else nn.Parameter(torch.empty(0))
    if bias.shape != start.shape:
        raise RecipeError(
            f"--head-bias prevalence needs a last layer with a bias for each of {len(start)} "
            f"classes; that of the head {network.head!r} has {len(bias) or 'none'}"
        )
    with torch.no_grad():
        bias.copy_(start)
