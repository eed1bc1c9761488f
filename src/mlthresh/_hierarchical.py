"""Logistic regressions of many classes whose coefficients share a normal prior, fitted at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mlthresh._support import Matrix, sigmoid

__all__ = ["LogisticFit", "fit_logistic"]

_ROUNDS = 8
_FIRST_STEPS = 6  # Newton steps before the prior is first looked at; one a round afterwards
_LONGEST_STEP = 3.0
_PRIOR_FLOOR = 1e-3  # pseudo-observation of variance, so that no prior collapses to a point


class LogisticFit(NamedTuple):
    """Fitted probabilities, and how well each class supports the model."""

    probability: Matrix  # (n_classes, n_points)
    log_evidence: Matrix  # (n_classes,)


def fit_logistic(features: Matrix, positive: Matrix, weight: Matrix) -> LogisticFit:
    r"""Fit one logistic regression a class by empirical Bayes.

    With :math:`x` the features of a point and :math:`\beta_c` the coefficients of class c,

    .. math:: P(y = 1 \mid x) = \sigma(\beta_c^T x), \qquad \beta_c \sim N(\mu, \Sigma).

    The prior's :math:`\mu` and :math:`\Sigma` are fitted by EM over the classes, with a
    Laplace approximation to each class's posterior. A fixed, small number of rounds is made: it
    leaves the prior a little wider than its maximum likelihood, which few classes tell badly.

    Parameters
    ----------
    features : array of shape (n_classes, n_points, n_features)
        The first is constant; the second increases with the score, on a scale of order 1.
    positive, weight : arrays of shape (n_classes, n_points)
        Weight of the positives, and of all samples, at each point.

    Returns
    -------
    LogisticFit
        `log_evidence` is the Laplace approximation to a class's marginal likelihood, without
        constants that depend on the data alone.

    References
    ----------
    Platt (1999), Probabilistic outputs for support vector machines.
    """
    n_classes, _, n_features = features.shape
    beta = np.zeros((n_classes, n_features))
    positives, total = positive.sum(axis=1), weight.sum(axis=1)
    beta[:, 0] = np.log((positives + 0.5) / (total - positives + 0.5))
    beta[:, 1] = 1.0
    mean, covariance = beta.mean(axis=0), 4.0 * np.eye(n_features)
    transposed = features.transpose(0, 2, 1)
    for round_ in range(_ROUNDS):
        precision = np.linalg.inv(covariance)
        for _ in range(1 if round_ else _FIRST_STEPS):
            p = sigmoid(np.matmul(features, beta[:, :, None])[:, :, 0])
            slope = np.matmul(transposed, (positive - weight * p)[:, :, None])[:, :, 0]
            slope -= (beta - mean) @ precision
            curvature = (transposed * (weight * p * (1 - p))[:, None, :]) @ features + precision
            step = np.linalg.solve(curvature, slope[:, :, None])[:, :, 0]
            longest = np.abs(step).max(axis=1, keepdims=True)
            beta += step * (_LONGEST_STEP / np.maximum(longest, _LONGEST_STEP))
        posterior = np.linalg.inv(curvature)
        mean_used, precision_used = mean, precision
        mean = beta.mean(axis=0)
        off = beta - mean
        floor = _PRIOR_FLOOR * np.eye(n_features)
        covariance = (off.T @ off + posterior.sum(axis=0) + floor) / n_classes

    eta = np.matmul(features, beta[:, :, None])[:, :, 0]
    off = beta - mean_used
    log_evidence = (
        (positive * eta - weight * np.logaddexp(0, eta)).sum(axis=1)
        - np.einsum("cp,pq,cq->c", off, precision_used, off) / 2
        + np.linalg.slogdet(precision_used)[1] / 2
        + np.linalg.slogdet(posterior)[1] / 2
    )
    return LogisticFit(sigmoid(eta), log_evidence)
