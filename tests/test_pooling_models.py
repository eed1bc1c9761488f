"""The models of the pooled strategy, against their formulas taken one class at a time."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, log_expit
from scipy.stats import multivariate_normal, norm

from mlthresh._hierarchical import fit_logistic
from mlthresh._support import LOGIT, REAL, condense
from mlthresh.counts import SortedClass
from mlthresh.pooling import class_probability


def draw(seed, n_features, *, far=0.0):
    """Return features, positives and weights of some classes, one of them without positives."""
    rng = np.random.default_rng(seed)
    shape = (rng.integers(1, 5), rng.integers(2, 25))
    x = rng.normal(far, 1 + far, shape)
    columns = [np.ones(shape), x, np.maximum(x, 0), np.maximum(x - 1, 0)]
    weight = rng.choice([0.0, 0.5, 1.0, 7.0], shape)
    positive = weight * rng.choice([0.0, 1.0, 0.4], shape, p=[0.6, 0.3, 0.1])
    positive[0] = 0
    return np.stack(columns[:n_features], axis=2), positive, weight


def fitted(features, positive, weight):
    """Return the coefficients, and the prior's mean and covariance that these were fitted with."""
    n_classes, _, n_features = features.shape
    beta = np.zeros((n_classes, n_features))
    for b, y, w in zip(beta, positive, weight, strict=True):
        b[:2] = np.log((y.sum() + 0.5) / ((w - y).sum() + 0.5)), 1
    mean, covariance = beta.mean(axis=0), np.diag(np.full(n_features, 4.0))
    for n_steps in (6, 1, 1, 1, 1, 1, 1, 1):
        used, posterior = (mean, covariance), []
        inverse = np.linalg.inv(covariance)
        for b, x, y, w in zip(beta, features, positive, weight, strict=True):
            for _ in range(n_steps):
                p = expit(x @ b)
                slope = x.T @ (y - w * p) - inverse @ (b - mean)
                curvature = np.einsum("n,np,nq->pq", w * p * (1 - p), x, x) + inverse
                step = np.linalg.solve(curvature, slope)
                b += step / max(1, np.abs(step).max() / 3)
            posterior.append(np.linalg.inv(curvature))
        mean = beta.mean(axis=0)
        spread = sum(np.outer(b - mean, b - mean) for b in beta) + sum(posterior)
        covariance = (spread + 0.001 * np.eye(n_features)) / n_classes
    return beta, *used


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("n_features", [2, 4])
@pytest.mark.parametrize("far", [0.0, 6.0])
def test_probabilities_are_those_of_each_class_alone(seed, n_features, far):
    data = draw(seed, n_features, far=far)
    beta, *_ = fitted(*data)
    expected = [expit(x @ b) for x, b in zip(data[0], beta, strict=True)]
    np.testing.assert_allclose(fit_logistic(*data).probability, expected, rtol=1e-6, atol=1e-12)


def test_evidence_is_the_likelihood_averaged_over_the_prior():
    """Laplace's approximation is good to some hundredths with hundreds of samples."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 300))
    truth = expit([[-1.0], [0.5], [0.0]] + np.array([[1.0], [2.0], [0.7]]) * x)
    weight = rng.choice([1.0, 2.0], x.shape)
    data = np.stack([np.ones_like(x), x], axis=2), weight * (rng.random(x.shape) < truth), weight
    evidence = fit_logistic(*data).log_evidence
    beta, mean, covariance = fitted(*data)
    prior = multivariate_normal(mean, covariance)
    steps = np.linspace(-1.5, 1.5, 301)
    for c, (features, y, w) in enumerate(zip(*data, strict=True)):
        grid = beta[c] + np.stack(np.meshgrid(steps, steps), axis=2).reshape(-1, 2)
        eta = grid @ features.T
        log_likelihood = log_expit(eta) @ y + log_expit(-eta) @ (w - y)
        integrand = log_likelihood + prior.logpdf(grid)
        top = integrand.max()
        expected = top + np.log(np.exp(integrand - top).sum() * (steps[1] - steps[0]) ** 2)
        assert evidence[c] == pytest.approx(expected, abs=0.02)


def test_weights_are_repetitions():
    features, positive, _ = draw(3, 3)
    positive = np.minimum(positive, 1)
    tripled = fit_logistic(features, 3 * positive, np.full_like(positive, 3.0))
    repeated = fit_logistic(
        features.repeat(3, axis=1), positive.repeat(3, axis=1), np.ones_like(positive.repeat(3, 1))
    )
    np.testing.assert_allclose(repeated.probability[:, ::3], tripled.probability, rtol=1e-9)
    np.testing.assert_allclose(repeated.log_evidence, tripled.log_evidence, rtol=1e-9)


def by_definition(support):
    """Return `class_probability` from scores, a point at a time where that says more."""
    score, weight = support.score / np.abs(support.score).max(), support.weight
    known = [(s, w) for s, w in zip(score.ravel(), weight.ravel(), strict=True) if w > 0]
    known.sort()

    def quantile(share):
        below = 0.0
        for s, w in known:
            below += w
            if below >= share * weight.sum() * (1 - 1e-12):
                return s
        raise AssertionError

    spread = (quantile(0.75) - quantile(0.25)) / 1.35 or known[-1][0] - known[0][0] or 1.0
    common = 3 * np.arcsinh((score - quantile(0.5)) / spread / 3)
    mean = np.average(common, weights=weight)
    deviation = np.sqrt(np.average((common - mean) ** 2, weights=weight))
    common = (common - mean) / (deviation or 1.0)

    own = np.zeros_like(score)
    for c, (s, w) in enumerate(zip(score, weight, strict=True)):
        mean = np.average(s, weights=w)
        deviation = np.sqrt(np.average((s - mean) ** 2, weights=w))
        for i, one in enumerate(s):
            rank = (w[:i].sum() + w[i] / 2) / w.sum()
            rank = min(max(rank, 0.5 / w.sum()), 1 - 0.5 / w.sum())
            own[c, i] = ((one - mean) / (deviation or 1.0) + norm.ppf(rank)) / 2

    def bend(x, at, sharpness):
        return np.log1p(np.exp(sharpness * (x - at))) / sharpness

    ones = np.ones_like(score)
    models = [
        [ones, common],
        [ones, common, *(bend(common, at, 3) for at in (0, 1, 2))],
        [ones, own, bend(own, 1, 2)],
    ]
    fits = [fit_logistic(np.stack(m, axis=2), support.positive, weight) for m in models]
    share = np.exp([fit.log_evidence - fits[0].log_evidence for fit in fits])
    probability = np.array([fit.probability for fit in fits])
    return np.einsum("mc,mcn->cn", share / share.sum(axis=0), probability)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("scale", [LOGIT, REAL], ids=["probabilities", "any scores"])
def test_scales_and_models_are_the_documented_ones(seed, scale):
    rng = np.random.default_rng(seed)
    n = rng.integers(4, 60)
    classes = []
    for _ in range(rng.integers(1, 4)):
        label = (rng.random(n) < 0.3).astype(float)
        label[:2] = 0, 1
        score = expit(rng.normal(size=n) * (1 + 2 * (seed % 3)) + label)
        score = score.round(1) * 0.8 + 0.1 if seed % 2 else score
        weight = rng.choice([0.5, 1.0, 3.0], n) if seed % 4 > 1 else None
        classes.append(SortedClass(score, label, weight))
    support = condense(classes, scale)
    np.testing.assert_allclose(class_probability(support), by_definition(support), rtol=1e-6)


def test_scores_that_are_all_the_same_tell_nothing_apart():
    support = condense([SortedClass(np.full(8, 3.0), np.arange(8) < 2)], REAL)
    np.testing.assert_allclose(class_probability(support), [[2.5 / 9]], atol=0.03)
