"""How often the intervals of a report hold the truth when patients have several images.

``python -m benchmarks.clustered_intervals`` simulates rates, and then whole reports, at known
truths and prints the share of 95 % intervals that hold them, beside those for independent rows.
"""

from __future__ import annotations

import sys
from itertools import product

import numpy as np
from scipy import stats

from mlthresh import multilabel_report
from mlthresh._clustered import clustered_interval
from mlthresh._intervals import clopper_pearson
from mlthresh._tables import markdown_table

ROWS_EACH = {"two": [2], "one to ten": [1, 1, 1, 2, 2, 3, 6, 10]}
FIGURES = ("prevalence", "alarm_rate", "recall", "specificity", "precision", "f1", "auroc")


def draw_trials(rng, n_patients, rows_each, p, agreement, n_samples):
    """Return successes and trials of shape (n_patients, n_samples); each patient's rate is beta
    distributed with mean p, so that two rows of a patient have the correlation `agreement`."""
    shape = (n_patients, n_samples)
    trials = rng.choice(ROWS_EACH[rows_each], size=shape)
    if agreement == 0:
        rate = np.full(shape, p)
    elif agreement == 1:
        rate = (rng.random(shape) < p).astype(float)
    else:
        spread = (1 - agreement) / agreement
        rate = rng.beta(p * spread, (1 - p) * spread, size=shape)
    return rng.binomial(trials, rate).astype(float), trials.astype(float)


def coverage_of_rates(n_patients, rows_each, p, agreement, n_samples=4000, seed=0):
    """Return coverage and mean width of the clustered interval, then of the independent one."""
    rng = np.random.default_rng(seed)
    successes, trials = draw_trials(rng, n_patients, rows_each, p, agreement, n_samples)
    found = []
    for interval in (
        clustered_interval(successes, trials, 0.95),
        clopper_pearson(successes.sum(axis=0), trials.sum(axis=0), 0.95),
    ):
        lower, upper = interval.T
        found += [float(((lower <= p) & (p <= upper)).mean()), float((upper - lower).mean())]
    return tuple(found)


def draw_patients(rng, n_patients, rows_each, prevalence, agreement):
    """Return labels, scores and patients of one class: two normal scores, labels and scores of a
    patient both correlated, by `agreement` on the normal scale."""
    patients = np.repeat(np.arange(n_patients), rng.choice(ROWS_EACH[rows_each], size=n_patients))
    own, rows = np.sqrt(agreement), np.sqrt(1 - agreement)

    def latent():
        return own * rng.normal(size=n_patients)[patients] + rows * rng.normal(size=len(patients))

    y_true = latent() > stats.norm.isf(prevalence)
    return y_true[:, None], (latent() + 1.5 * y_true)[:, None], patients


def coverage_of_reports(n_patients, rows_each, prevalence, agreement, n_samples=1000, seed=0):
    """Return for each figure the coverage with `groups`, and without."""
    threshold, rng = 1.0, np.random.default_rng(seed)
    recall, false_alarm = stats.norm.sf(threshold - 1.5), stats.norm.sf(threshold)
    tp, fp = prevalence * recall, (1 - prevalence) * false_alarm
    truth = {
        "prevalence": prevalence,
        "alarm_rate": tp + fp,
        "recall": recall,
        "specificity": 1 - false_alarm,
        "precision": tp / (tp + fp),
        "f1": 2 * tp / (tp + fp + prevalence),
        "auroc": stats.norm.cdf(1.5 / np.sqrt(2)),
    }
    held = {name: np.zeros(2) for name in FIGURES}
    defined = dict.fromkeys(FIGURES, 0)
    for _ in range(n_samples):
        y_true, y_score, patients = draw_patients(rng, n_patients, rows_each, prevalence, agreement)
        for i, groups in enumerate((patients, None)):
            report = multilabel_report(y_true, y_score, threshold, groups=groups, n_resamples=0)
            for name in FIGURES:
                lower, upper = getattr(report, f"{name}_interval")[0]
                held[name][i] += lower <= truth[name] <= upper
                defined[name] += i == 0 and not np.isnan(lower)
    return {name: held[name] / max(1, defined[name]) for name in FIGURES}


def main() -> None:
    rows, every = [], []
    for case in product((8, 20, 60), ROWS_EACH, (0.5, 0.8, 0.95), (0.0, 0.3, 0.7, 1.0)):
        every.append(coverage_of_rates(*case))
        figures = [f"{value:.3f}" for value in every[-1]]
        rows.append([*(str(value) for value in case), *figures])
    header = ["patients", "rows each", "rate", "agreement", "covers", "width"]
    header += ["independent covers", "width"]
    sys.stdout.write(markdown_table(header, rows) + "\n")
    worst = np.min(every, axis=0)
    sys.stdout.write(f"\nleast coverage {worst[0]:.3f}; for independent rows {worst[2]:.3f}\n\n")
    rows = []
    for case in product((30, 100), ROWS_EACH, (0.1, 0.3), (0.0, 0.5, 0.9)):
        found = coverage_of_reports(*case)
        cells = [f"{found[name][0]:.3f} ({found[name][1]:.3f})" for name in FIGURES]
        rows.append([*(str(value) for value in case), *cells])
    header = ["patients", "rows each", "prevalence", "agreement", *FIGURES]
    sys.stdout.write(markdown_table(header, rows) + "\n")


if __name__ == "__main__":
    main()
