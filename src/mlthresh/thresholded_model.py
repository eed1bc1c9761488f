"""A network together with the thresholds, the posterior and the preprocessing it is used with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from mlthresh.exceptions import InputError
from mlthresh.posterior import FocalPosterior
from mlthresh.threshold_set import ThresholdSet

__all__ = ["ThresholdedModel"]


class ThresholdedModel(nn.Module):
    """A network that returns probabilities and decisions.

    Decisions are taken on the scores that the thresholds were tuned on, in those scores' data
    type, whatever the network computes in. With ``thresholds.score_scale`` "probability" the
    scores are ``posterior(logits)``, or ``sigmoid(logits)`` without a posterior; with "real" they
    are ``posterior.logits(logits)``, or the logits.

    Parameters
    ----------
    model : nn.Module
        Returns logits of shape (n_samples, n_classes).
    thresholds : ThresholdSet
    posterior : FocalPosterior, optional
        What turns the logits into probabilities; the sigmoid if not given.

    Attributes
    ----------
    model, thresholds, posterior
        As given.
    preprocessing, metadata : dict or None
        What `save_model` stored beside the model, where `load_model` made this one.

    Raises
    ------
    InputError
        If the thresholds and the posterior disagree on the number of classes; in ``forward``, if
        the logits have another shape, or one of them is NaN (unchecked under `torch.compile`).

    Examples
    --------
    >>> import numpy as np, torch
    >>> from mlthresh import find_optimal_thresholds
    >>> y_true = np.array([[1, 0], [1, 1], [0, 0], [0, 1]])
    >>> y_score = np.array([[0.9, 0.2], [0.6, 0.7], [0.4, 0.1], [0.1, 0.4]], dtype=np.float32)
    >>> thresholds = find_optimal_thresholds(y_true, y_score)
    >>> network = torch.nn.Identity()  # stands for one that returns logits
    >>> deployed = ThresholdedModel(network, thresholds)
    >>> deployed(torch.tensor([[0.5, -0.5], [-0.5, -1.0]]))
    (tensor([[0.6225, 0.3775],
            [0.3775, 0.2689]]), tensor([[ True,  True],
            [False, False]]))
    """

    preprocessing: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    _threshold_bits: Tensor

    def __init__(
        self,
        model: nn.Module,
        thresholds: ThresholdSet,
        *,
        posterior: FocalPosterior | None = None,
    ) -> None:
        super().__init__()
        check_parts(model, thresholds, posterior)
        self.model = model
        self.thresholds = thresholds
        self.posterior = posterior
        values = torch.tensor(thresholds.thresholds)
        self._score_dtype = values.dtype
        # As a buffer they follow the module's device; as integers, `.half()` leaves them alone.
        bits = values.view(torch.int32 if values.dtype == torch.float32 else torch.int64)
        self.register_buffer("_threshold_bits", bits, persistent=False)

    def forward(self, x: Any) -> tuple[Tensor, Tensor]:
        """Return probabilities and decisions (bool), each of shape (n_samples, n_classes)."""
        logits = self.model(x)
        self._check_logits(logits)
        return self.decide(logits, self._threshold_bits.view(self._score_dtype), torch.sigmoid)

    def decide(
        self, logits: Tensor, thresholds: Tensor, sigmoid: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return what `forward` makes of the network's outputs.

        Parameters
        ----------
        logits : Tensor of shape (n_samples, n_classes)
        thresholds : Tensor of shape (n_classes,)
            The values of ``self.thresholds``, in the scores' data type.
        sigmoid : callable
            For a model without posterior.
        """
        logits = logits.to(self._score_dtype)
        if self.posterior is None:
            probabilities, log_odds = sigmoid(logits), logits
        else:
            probabilities, log_odds = self.posterior(logits), self.posterior.logits(logits)
        scores = probabilities if self.thresholds.score_scale == "probability" else log_odds
        return probabilities, scores >= thresholds

    def _check_logits(self, logits: Any) -> None:
        n_classes = self.thresholds.n_classes
        if not isinstance(logits, Tensor):
            raise InputError(f"the model must return a tensor, got {type(logits).__name__}")
        if logits.ndim != 2 or logits.shape[1] != n_classes:
            raise InputError(
                f"the model returned shape {tuple(logits.shape)}, but there are {n_classes} "
                f"thresholds: expected (n_samples, {n_classes})"
            )
        if torch.compiler.is_compiling():
            return
        bad = torch.isnan(logits)
        if bad.any():
            row, column = bad.nonzero()[0].tolist()
            names = self.thresholds.class_names
            label = f" ({names[column]!r})" if names else ""
            raise InputError(
                f"the model returned NaN at [{row}, {column}]{label}: there is nothing to decide by"
            )


def check_network(model: Any) -> None:
    """Raise unless `model` is a network without thresholds."""
    if not isinstance(model, nn.Module) or isinstance(model, ThresholdedModel):
        raise InputError(f"model must be the bare network, got {type(model).__name__}")


def check_parts(model: Any, thresholds: Any, posterior: Any) -> None:
    """Raise unless these make a `ThresholdedModel`."""
    check_network(model)
    if not isinstance(thresholds, ThresholdSet):
        raise InputError(f"thresholds must be a ThresholdSet, got {type(thresholds).__name__}")
    if posterior is None:
        return
    if not isinstance(posterior, FocalPosterior):
        raise InputError(f"posterior must be a FocalPosterior, got {type(posterior).__name__}")
    if posterior.n_classes not in (None, thresholds.n_classes):
        raise InputError(
            f"the posterior has {posterior.n_classes} classes, but there are "
            f"{thresholds.n_classes} thresholds"
        )
