"""The bootstrap of tuned thresholds: how sure thresholds and their figures are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from typing_extensions import Unpack

from mlthresh._arrays import shown_names
from mlthresh._intervals import Float64Array, clopper_pearson, rate
from mlthresh._scalars import as_integer
from mlthresh._tables import Section, TabledReport, rate_cell
from mlthresh._tuning import TuningRows
from mlthresh.certify import check_confidence
from mlthresh.counts import Counts
from mlthresh.exceptions import InputError
from mlthresh.options import SearchOptions
from mlthresh.threshold_set import ThresholdSet
from mlthresh.thresholds import ThresholdSearch

__all__ = ["BootstrapResult", "bootstrap_thresholds"]

Figure: TypeAlias = Literal["precision", "recall", "f1"]
_FIGURES: tuple[Figure, ...] = ("precision", "recall", "f1")


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class BootstrapResult(TabledReport):
    r"""How sure thresholds are, and the figures that they reach on new data; prints as a table.

    Attributes
    ----------
    threshold_set : ThresholdSet
        Found on all rows. Its own figures are apparent: measured on the rows that tuned it.
    thresholds : array of shape (n_resamples, n_classes)
        Found anew on each resample.
    optimism : dict from {"precision", "recall", "f1"} to float array of shape (n_classes,)
        How much higher a figure of thresholds found on a resample is there than on all rows;
        the mean over resamples. NaN where no resample defines it.
    trials : dict from {"precision", "recall", "f1"} to float array of shape (n_classes,)
        Rows that the figure is a proportion of: those called positive, the positives, and the
        union of both. With patients of m_1, m_2, ... such rows each,
        :math:`(\sum m_i)^2 / \sum m_i^2`, as if the rows of a patient agreed.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.tile([[1], [0]], (10, 1))
    >>> result = bootstrap_thresholds(labels, labels * 0.5 + 0.2, n_resamples=20)
    >>> result.interval("recall", confidence=0.9).round(3)
    array([[0.741, 1.   ]])
    """

    threshold_set: ThresholdSet
    thresholds: npt.NDArray[np.floating[Any]]
    optimism: Mapping[Figure, Float64Array]
    trials: Mapping[Figure, Float64Array]

    def corrected(self, figure: Figure) -> Float64Array:
        """Return the apparent figure of each class minus its optimism, within [0, 1].

        Parameters
        ----------
        figure : {"precision", "recall", "f1"}

        Returns
        -------
        array of shape (n_classes,)
            NaN where the apparent figure or its optimism is undefined.
        """
        if figure not in _FIGURES:
            raise InputError(f"figure must be one of {_FIGURES}, got {figure!r}")
        # ThresholdSet's F1 is 0 where nothing is positive or called so; here nothing is known.
        apparent = np.where(self.trials[figure] > 0, getattr(self.threshold_set, figure), np.nan)
        corrected: Float64Array = np.clip(apparent - self.optimism[figure], 0.0, 1.0)
        return corrected

    def interval(
        self, figure: Literal["thresholds"] | Figure, confidence: float = 0.95
    ) -> Float64Array:
        r"""Return an interval of each class's threshold, or of a figure on new data.

        "precision", "recall" and "f1" are those of `threshold_set` in the population. The
        interval is Clopper and Pearson's exact one for the corrected proportion, k = `corrected`
        times n = `trials`, where k need not be whole; F1 has the image of the Jaccard index
        J = F1 / (2 - F1) under 2 J / (1 + J).

        "thresholds" are those that are best in the population. The interval is the expanded
        percentile interval: quantiles of the resamples' thresholds at :math:`\Phi(\mp z)` with
        :math:`z = t_{n-1} \sqrt{n / (n - 1)}`, n the number of positives (trials of recall) and
        :math:`t_{n-1}` the quantile of Student's distribution. An end may be infinite: some
        resamples of a few positives have none.

        Parameters
        ----------
        figure : {"thresholds", "precision", "recall", "f1"}
        confidence : float, default 0.95
            In (0, 1).

        Returns
        -------
        array of shape (n_classes, 2)
            NaN for a class whose figure is undefined; for thresholds without two positives,
            from minus infinity to infinity.

        Notes
        -----
        The coverage is approximate: benchmarks/generalisation/RESULTS.md has it by number of
        positives. Exactly optimal thresholds converge with the cube root of n, and there the
        bootstrap of a threshold is inconsistent; a pooled threshold keeps, besides, the error of
        its model, which no resample shows. The interval of a threshold is therefore a picture of
        how little the data say, not a promise.

        References
        ----------
        Hesterberg (2015), What teachers should know about the bootstrap, section 5.2.
        Abrevaya and Huang (2005), On the bootstrap of the maximum score estimator.
        """
        check_confidence(confidence)
        if figure == "thresholds":
            return self._threshold_interval(confidence)
        proportion = self.corrected(figure)
        if figure == "f1":
            proportion = proportion / (2 - proportion)
        trials = np.where(np.isnan(proportion), 0.0, self.trials[figure])
        interval = clopper_pearson(np.nan_to_num(proportion) * trials, trials, confidence)
        return 2 * interval / (1 + interval) if figure == "f1" else interval

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values: each class's corrected figures, with 95 % intervals."""
        found = self.threshold_set
        columns = {
            "threshold": found.thresholds,
            "threshold_interval": self.interval("thresholds"),
            "positives": found.support,
        }
        for figure in _FIGURES:
            columns[figure] = self.corrected(figure)
            columns[f"{figure}_interval"] = self.interval(figure)
            columns[f"apparent_{figure}"] = getattr(found, figure)
        names = shown_names(found.class_names, found.n_classes)
        return {
            "n_resamples": len(self.thresholds),
            "confidence": 0.95,
            "classes": [
                {"name": name, **{key: values[c].tolist() for key, values in columns.items()}}
                for c, name in enumerate(names)
            ],
        }

    def _sections(self) -> list[Section]:
        header = ("class", "positives", "threshold", "recall", "precision", "F1", "apparent F1")
        rows = []
        classes = self.to_dict()["classes"]
        for one in sorted(classes, key=lambda one: -one["positives"]):
            low, high = one["threshold_interval"]
            rows.append(
                [
                    *(one["name"], str(one["positives"])),
                    f"{one['threshold']:.4g} [{low:.3g}, {high:.3g}]",
                    *(
                        rate_cell(one[figure], one[f"{figure}_interval"])
                        for figure in ("recall", "precision", "f1")
                    ),
                    rate_cell(one["apparent_f1"]),
                ]
            )
        notes = [
            (
                f"Resamples: {len(self.thresholds)}. Rates are apparent ones less the optimism of "
                "tuning; in brackets approximate 95 % intervals, each by itself."
            ),
            "They say nothing about a model that the same rows chose.",
        ]
        return [Section("Thresholds, and their figures on new data", header, rows, notes)]

    def _threshold_interval(self, confidence: float) -> Float64Array:
        from scipy.special import ndtr, stdtrit

        interval = np.tile([-np.inf, np.inf], (self.thresholds.shape[1], 1))
        for c, n in enumerate(self.trials["recall"]):
            if n >= 2:
                z = stdtrit(n - 1, (1 + confidence) / 2) * np.sqrt(n / (n - 1))
                # Order statistics, since a mean with infinity says nothing.
                interval[c] = np.quantile(self.thresholds[:, c], ndtr([-z, z]), method="nearest")
        return interval


def bootstrap_thresholds(
    y_true: Any,
    y_score: Any,
    *,
    n_resamples: int = 200,
    groups: Any = None,
    class_names: Sequence[str] | None = None,
    rng: int | np.random.Generator | None = None,
    **options: Unpack[SearchOptions],
) -> BootstrapResult:
    r"""Redraw the rows with replacement, to see how sure thresholds and their figures are.

    Thresholds are found anew on each resample b. With :math:`R_b(t)` a figure of the thresholds
    t on resample b, and R on all rows, tuning flatters a figure by about

    .. math:: \text{optimism} = \frac{1}{B} \sum_{b=1}^B R_b(t_b) - R(t_b),

    which is taken off the apparent figure.

    Parameters
    ----------
    y_true, y_score, class_names
        As for `find_optimal_thresholds`.
    n_resamples : int, default 200
        At least 1.
    groups : array of shape (n_samples,), optional
        Patients: drawn whole.
    rng : int or numpy.random.Generator, optional
        For the draws; by default the seed 0.
    **options
        As for `find_optimal_thresholds`.

    Returns
    -------
    BootstrapResult

    Raises
    ------
    InputError
        If an argument is not as described.

    Notes
    -----
    The figures say nothing about the choice of the model by the same rows.

    References
    ----------
    Efron and Tibshirani (1993), An Introduction to the Bootstrap, section 17.6.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> y_true = rng.random((60, 1)) < 0.1
    >>> y_score = rng.random((60, 1)) + 0.3 * y_true
    >>> result = bootstrap_thresholds(y_true, y_score, n_resamples=50)
    >>> bool(result.corrected("f1")[0] < result.threshold_set.f1[0])
    True
    """
    search = ThresholdSearch(**options)
    n_resamples = as_integer(n_resamples, "n_resamples", 1)
    data = TuningRows.checked(y_true, y_score, None, groups, class_names)
    found = data.tune(search, slice(None), data.units)

    n_samples, n_classes = data.labels.shape
    generator = np.random.default_rng(0 if rng is None else rng)
    thresholds = np.empty((n_resamples, n_classes), dtype=data.scores.dtype)
    resampled, original = np.empty((2, 4, n_resamples, n_classes))
    for i in range(n_resamples):
        rows, drawn_unit = _draw(generator, n_samples, data.units)
        thresholds[i] = data.tune(search, rows, drawn_unit).thresholds
        decided = data.scores >= thresholds[i]
        times = np.bincount(rows, minlength=n_samples).astype(np.float64)
        resampled[:, i] = data.counts(decided, times)
        original[:, i] = data.counts(decided)
    there, here = _figures(Counts(*resampled)), _figures(Counts(*original))
    return BootstrapResult(
        threshold_set=found,
        thresholds=thresholds,
        optimism={figure: _mean_of_known(there[figure] - here[figure]) for figure in _FIGURES},
        trials=_trials(data, found),
    )


def _figures(counts: Counts) -> dict[Figure, Float64Array]:
    tp, fp, fn, _ = counts
    return {
        "precision": rate(tp, tp + fp),
        "recall": rate(tp, tp + fn),
        "f1": rate(2 * tp, 2 * tp + fp + fn),
    }


def _mean_of_known(by_resample: Float64Array) -> Float64Array:
    known = ~np.isnan(by_resample)
    return rate(np.where(known, by_resample, 0.0).sum(axis=0), known.sum(axis=0))


def _trials(data: TuningRows, found: ThresholdSet) -> dict[Figure, Float64Array]:
    """Return the number of rows that a figure is a proportion of; of patients, the effective."""
    decided = (data.scores >= found.thresholds) & ~np.isnan(data.labels)
    positive = data.labels == 1
    used = {"precision": decided, "recall": positive, "f1": decided | positive}
    trials: dict[Figure, Float64Array] = {}
    for figure in _FIGURES:
        sizes = used[figure].astype(np.float64)
        if data.units is not None:
            by_unit = np.zeros((data.units.max() + 1, sizes.shape[1]))
            np.add.at(by_unit, data.units, sizes)
            sizes = by_unit
        square = (sizes**2).sum(axis=0)
        trials[figure] = np.nan_to_num(rate(sizes.sum(axis=0) ** 2, square))
    return trials


def _draw(
    rng: np.random.Generator, n_samples: int, units: npt.NDArray[np.intp] | None
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return rows drawn with replacement, whole units if given, and the draw each came by.

    A unit drawn twice counts as two.
    """
    if units is None:
        return rng.integers(n_samples, size=n_samples), np.arange(n_samples)
    by_unit = np.argsort(units, kind="stable")
    size = np.bincount(units)
    start = np.cumsum(size) - size
    drawn = rng.integers(len(size), size=len(size))
    draw = np.repeat(np.arange(len(drawn)), size[drawn])
    within = np.arange(len(draw)) - np.repeat(np.cumsum(size[drawn]) - size[drawn], size[drawn])
    return by_unit[start[drawn][draw] + within], draw
