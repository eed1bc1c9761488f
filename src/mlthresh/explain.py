r"""What a weighted focal loss, and a sampler, make of the scores.

Weights move the log-odds that a class is trained at. With prevalence :math:`\pi`, prevalence
:math:`\pi_s` among the sampler's draws, and :math:`a_1, a_0` the loss's weights of positives and
negatives,

    trained log-odds = logit :math:`\pi_s` + log(:math:`a_1 / a_0`),

and a focal loss's raw score sits where its link (`mlthresh.posterior`) meets them: nearer to 0.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from mlthresh._arrays import matched_class_names, to_numpy
from mlthresh._intervals import Float64Array
from mlthresh._tables import text_table
from mlthresh.class_counts import labels_with_rows
from mlthresh.exceptions import InputError
from mlthresh.posterior import FocalPosterior

__all__ = ["LossExplanation", "explain_loss"]

_NOTEWORTHY = np.log(1.5)  # a smaller shift of the log-odds is not worth a warning
_HEADER = (
    "class",
    "prevalence",
    "in draws",
    "trained at",
    "raw score",
    "times",
    "0.5 means",
    "counted by",
)


@dataclass(frozen=True, eq=False, kw_only=True)
class LossExplanation:
    """What scores mean after training to the loss's optimum; prints as text.

    All of it follows from counts and parameters, not from a trained network. Arrays have shape
    (n_classes,) and are NaN for a class without a known label of each kind.

    Attributes
    ----------
    class_names : tuple of str, or None
    prevalence : array
        Share of positives among the known labels.
    sampled_prevalence : array
        The same among the sampler's draws.
    trained_prior : array
        The prevalence that sampler, pos_weight and alpha together pretend.
    raw_score : array
        The sigmoid output for an input that says nothing about the class, where an honest
        probability would be the prevalence. Focal gamma draws it toward 0.5.
    overprediction : array
        `raw_score` over `prevalence`.
    probability_at_half : array
        The probability of a positive label where the sigmoid output is 0.5.
    pos_weight_shift, alpha_shift, sampler_shift : array
        What each adds to the log-odds.

    Examples
    --------
    >>> from mlthresh import FocalLossWithPosWeight
    >>> explained = FocalLossWithPosWeight(2.5, 0.15, 10.0).explain([[1], [0], [0], [0]])
    >>> explained.trained_prior.round(3), explained.raw_score.round(3)
    (array([0.37]), array([0.458]))
    """

    class_names: tuple[str, ...] | None
    prevalence: Float64Array
    sampled_prevalence: Float64Array
    trained_prior: Float64Array
    raw_score: Float64Array
    overprediction: Float64Array
    probability_at_half: Float64Array
    pos_weight_shift: Float64Array
    alpha_shift: Float64Array
    sampler_shift: Float64Array

    def counted_by(self) -> tuple[tuple[str, ...], ...]:
        """Return, for each class, which of the three raise its odds by half or more."""
        shifts = {
            "pos_weight": self.pos_weight_shift,
            "alpha": self.alpha_shift,
            "sampler": self.sampler_shift,
        }
        return tuple(
            tuple(name for name, shift in shifts.items() if shift[column] >= _NOTEWORTHY)
            for column in range(len(self.prevalence))
        )

    def warnings(self) -> tuple[str, ...]:
        """Return a sentence for each set of classes whose imbalance is counted more than once."""
        classes: dict[tuple[str, ...], list[str]] = {}
        for name, counted in zip(self._names(), self.counted_by(), strict=True):
            if len(counted) > 1:
                classes.setdefault(counted, []).append(name)
        return tuple(
            f"{' and '.join(counted)} each count the imbalance of {', '.join(names)}: keep one, "
            "or read probabilities through the link, with the sampler's importance weights in "
            "the loss"
            for counted, names in classes.items()
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and lists, and the warnings; None stands for NaN."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        plain: dict[str, Any] = {
            name: [None if np.isnan(x) else x for x in value.tolist()]
            for name, value in values.items()
            if isinstance(value, np.ndarray)
        }
        names = None if self.class_names is None else list(self.class_names)
        return {"class_names": names, **plain, "warnings": list(self.warnings())}

    def __str__(self) -> str:
        columns = (
            self.prevalence,
            self.sampled_prevalence,
            self.trained_prior,
            self.raw_score,
            self.overprediction,
            self.probability_at_half,
        )
        rows = [
            [name, *(f"{column[i]:.3g}" for column in columns), ", ".join(counted) or "-"]
            for i, (name, counted) in enumerate(zip(self._names(), self.counted_by(), strict=True))
        ]
        notes = [f"Warning: {warning}." for warning in self.warnings()]
        return "\n".join([text_table(_HEADER, rows), *notes])

    def _names(self) -> Sequence[str]:
        return self.class_names or [str(i) for i in range(len(self.prevalence))]


def explain_loss(
    posterior: FocalPosterior,
    labels: Any,
    sampler: Any = None,
    class_names: Sequence[str] | None = None,
) -> LossExplanation:
    """Return what a loss with the posterior's parameters makes of scores.

    Parameters
    ----------
    posterior : FocalPosterior
        The loss's parameters.
    labels : array, tensor or frame of shape (n_samples, n_classes)
        The training labels: 0, 1 or NaN (missing).
    sampler : RarestClassSampler or torch's WeightedRandomSampler, optional
        Over those rows, with replacement. Its effect on a class is taken as a change of the
        prevalence, which is exact where the draws depend on that class alone.
    class_names : sequence of str, optional
        A frame brings its own.

    Raises
    ------
    InputError
        If labels, sampler and parameters do not fit each other.

    Examples
    --------
    >>> labels = np.zeros((1000, 2))
    >>> labels[:500, 0] = labels[:20, 1] = 1
    >>> posterior = FocalPosterior(gamma=2.5, alpha=0.15, pos_weight=[1.0, 10.0])
    >>> print(explain_loss(posterior, labels, class_names=["common", "rare"]))
    class   prevalence  in draws  trained at  raw score  times  0.5 means  counted by
    common         0.5       0.5        0.15      0.366  0.731       0.85           -
    rare          0.02      0.02      0.0348      0.258   12.9      0.362  pos_weight
    """
    array, columns = labels_with_rows(labels)
    n_classes = array.shape[1]
    if posterior.n_classes not in (None, n_classes):
        raise InputError(
            f"the loss has {posterior.n_classes} classes, but the labels have shape {array.shape}"
        )
    prevalence = _prevalence(array, np.ones(len(array)))
    sampled = prevalence if sampler is None else _prevalence(array, _weights(sampler, len(array)))

    pos_weight = 1.0 if posterior.pos_weight is None else np.asarray(posterior.pos_weight)
    alpha = 0.5 if posterior.alpha is None else np.asarray(posterior.alpha)
    pos_weight_shift, alpha_shift, sampler_shift = (
        np.broadcast_to(shift, n_classes).astype(np.float64)
        for shift in (np.log(pos_weight), _logit(alpha), _logit(sampled) - _logit(prevalence))
    )
    trained = _logit(sampled) + pos_weight_shift + alpha_shift
    link = FocalPosterior(posterior.gamma, None)
    raw_score = _sigmoid(_inverse(link, trained))
    return LossExplanation(
        class_names=matched_class_names(n_classes, class_names, columns),
        prevalence=prevalence,
        sampled_prevalence=sampled,
        trained_prior=_sigmoid(trained),
        raw_score=raw_score,
        overprediction=raw_score / prevalence,
        probability_at_half=_sigmoid(-pos_weight_shift - alpha_shift - sampler_shift),
        pos_weight_shift=pos_weight_shift,
        alpha_shift=alpha_shift,
        sampler_shift=sampler_shift,
    )


def _weights(sampler: Any, n_rows: int) -> Float64Array:
    """Return numbers in proportion to how often each row is drawn."""
    if hasattr(sampler, "importance_weights"):
        importance = to_numpy(sampler.importance_weights, "sampler")[0].astype(np.float64)
        weights = np.divide(1.0, importance, out=np.zeros_like(importance), where=importance > 0)
    elif hasattr(sampler, "weights") and getattr(sampler, "replacement", True):
        weights = to_numpy(sampler.weights, "sampler")[0].astype(np.float64)
    else:
        raise InputError(
            "sampler must be a RarestClassSampler or a WeightedRandomSampler with replacement, "
            f"got {type(sampler).__name__}"
        )
    if weights.shape != (n_rows,):
        raise InputError(f"the sampler draws from {len(weights)} rows, the labels have {n_rows}")
    return weights


def _prevalence(labels: Any, weights: Float64Array) -> Float64Array:
    """Return the weighted share of positives; NaN unless both kinds of label are there."""
    positive = weights @ (labels == 1)
    negative = weights @ (labels == 0)
    both = (positive > 0) & (negative > 0)
    known = np.where(both, positive + negative, 1.0)
    return np.where(both, positive / known, np.nan)


def _inverse(link: FocalPosterior, log_odds: Float64Array) -> Float64Array:
    """Bisect for the logits; the link is odd and at least as steep as the identity's chord."""
    low, high = -np.abs(log_odds), np.abs(log_odds)
    for _ in range(60):
        middle = (low + high) / 2
        below = link.logits(middle) < log_odds
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.where(np.isnan(log_odds), np.nan, (low + high) / 2)


def _logit(probability: Any) -> Any:
    return np.log(probability) - np.log1p(-probability)


def _sigmoid(log_odds: Float64Array) -> Float64Array:
    e = np.exp(-np.abs(log_odds))
    result: Float64Array = np.where(log_odds < 0, e, 1.0) / (1 + e)
    return result
