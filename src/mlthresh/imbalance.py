r"""How unevenly labels are spread over classes, and which classes occur together.

A missing label (NaN) is neither positive nor negative. With :math:`n_c` positives among the
:math:`N_c` known labels of class c, its prevalence is :math:`\pi_c = n_c / N_c`, and everything
that compares classes compares prevalences, so that a class is not called rare for being labelled
in fewer rows. Where no label is missing, each figure is the one that the references define.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import matched_class_names, row_blocks
from mlthresh._imbalance_report import ImbalanceReport
from mlthresh._intervals import Float64Array, rate
from mlthresh.class_counts import count_labels, labels_with_rows
from mlthresh.exceptions import InputError

__all__ = ["ImbalanceReport", "imbalance_report"]


def imbalance_report(labels: Any, class_names: Sequence[str] | None = None) -> ImbalanceReport:
    r"""Measure how unevenly labels are spread, and which classes occur together.

    With :math:`\pi_c` the prevalence of class c and :math:`Y_i` the classes that row i shows,

    .. math::

        \text{IRLbl}_c &= \max_k \pi_k / \pi_c, \qquad
        \text{MeanIR} = \text{mean}_c\, \text{IRLbl}_c, \qquad
        \text{CVIR} = \text{sd}_c(\text{IRLbl}_c) / \text{MeanIR},

        \text{SCUMBLE}_i &= 1 - \Big(\prod_{c \in Y_i} \text{IRLbl}_c\Big)^{1 / |Y_i|}
        \Big/ \text{mean}_{c \in Y_i} \text{IRLbl}_c .

    SCUMBLE is the mean over rows, and a class's SCUMBLE the mean over the rows that show it: near
    0 where rare classes keep to themselves, towards 1 where they share their rows with frequent
    ones, which resampling rows then cannot balance. A row that shows fewer than two classes has 0.

    Parameters
    ----------
    labels : array, tensor or frame of shape (n_samples, n_classes)
        0, 1 or NaN (missing).
    class_names : sequence of str, optional
        One name for each column; a frame brings its own.

    Returns
    -------
    ImbalanceReport
        Prints as text; has `to_markdown`, `to_dict` and `to_json`.

    Raises
    ------
    InputError
        If the labels are not such a matrix, have no row or are all missing, or the names do not
        fit them.

    Notes
    -----
    What a missing label does:

    - It leaves the counts and the prevalence of its class, on which IRLbl, MeanIR, CVIR,
      cardinality (the sum of prevalences) and density (their mean) rest.
    - A row's SCUMBLE is that of the classes it is known to show. Rows without any known label
      are left out of the mean.
    - Label sets are counted among the rows whose labels are all known.
    - Of the rows that show class i, the share that shows class j is over those where j is known.

    A class without a positive has an infinite IRLbl and is left out of MeanIR and CVIR; their
    standard deviation has n - 1 in its denominator.

    References
    ----------
    F. Charte, A. J. Rivera, M. J. del Jesus, F. Herrera, "Addressing imbalance in multilabel
    classification: Measures and random resampling algorithms", Neurocomputing 163, 2015
    (IRLbl, MeanIR, CVIR).

    F. Charte, A. J. Rivera, M. J. del Jesus, F. Herrera, "Dealing with difficult minority labels
    in imbalanced multilabel data sets", Neurocomputing 326, 2019 (SCUMBLE, of rows, classes and
    data sets).

    Examples
    --------
    >>> labels = [[1, 0, 0], [1, 0, 0], [1, 1, 0], [1, 0, 1], [0, 0, 0]]
    >>> report = imbalance_report(labels, ["DR", "MH", "RPEC"])
    >>> report.irlbl, report.mean_ir
    (array([1., 4., 4.]), 3.0)
    >>> round(report.scumble, 3), report.cardinality, report.n_label_sets
    (0.08, 1.2, 4)
    >>> report.conditional[1]  # of the rows with MH, all show DR and none RPEC
    array([1., 1., 0.])
    >>> print(report)
    5 rows, 3 classes
    <BLANKLINE>
    class  positives  prevalence  IRLbl  SCUMBLE  most often with
    DR        4 of 5      80.00%   1.00    0.100         MH (25%)
    MH        1 of 5      20.00%   4.00    0.200        DR (100%)
    RPEC      1 of 5      20.00%   4.00    0.200        DR (100%)
    <BLANKLINE>
    MeanIR 3.00, the largest 4.00, CVIR 0.577, SCUMBLE 0.080.
    Classes a row (cardinality) 1.200, density 0.400.
    4 distinct label sets in 5 rows with every label known.
    1 row shows no class.
    """
    array, columns = labels_with_rows(labels)
    n_samples, n_classes = array.shape
    names = matched_class_names(n_classes, class_names, columns)
    n_known, n_positive = count_labels(array)
    if not n_known.any():
        raise InputError(f"every one of the {array.shape} labels is missing (NaN)")
    prevalence = rate(n_positive, n_known)
    irlbl = _imbalance_ratio(prevalence)
    occurring = irlbl[n_positive > 0]
    rows = _RowFigures(array, np.where(n_positive > 0, irlbl, 1.0))
    has_spread = len(occurring) > 1
    mean_ir = float(occurring.mean()) if len(occurring) else float("nan")
    return ImbalanceReport(
        class_names=names,
        n_samples=n_samples,
        n_complete=rows.n_complete,
        n_unlabelled=rows.n_unlabelled,
        n_without_positive=int(rows.rows_by_n_positive[0]),
        n_label_sets=rows.n_label_sets,
        cardinality=float(np.nansum(prevalence)),
        density=float(np.nanmean(prevalence)),
        mean_ir=mean_ir,
        max_ir=float(occurring.max(initial=-np.inf)) if len(occurring) else float("nan"),
        cvir=float(occurring.std(ddof=1) / mean_ir) if has_spread else float("nan"),
        scumble=rows.scumble_sum / (n_samples - rows.n_unlabelled),
        n_known=n_known,
        n_positive=n_positive,
        prevalence=prevalence,
        irlbl=irlbl,
        scumble_per_class=rate(rows.scumble_sum_per_class, n_positive),
        rows_by_n_positive=rows.rows_by_n_positive,
        co_occurrence=rows.co_occurrence,
        conditional=rate(rows.co_occurrence, rows.positive_and_known),
    )


def _imbalance_ratio(prevalence: Float64Array) -> Float64Array:
    """Return the largest prevalence over each; infinite for 0, NaN where nothing is known."""
    largest = np.nanmax(prevalence)
    if largest == 0:
        return np.where(np.isnan(prevalence), np.nan, np.inf)
    with np.errstate(divide="ignore"):
        return np.asarray(largest / prevalence)


class _RowFigures:
    """What has to be summed over rows, in blocks that leave large labels uncopied."""

    def __init__(self, array: npt.NDArray[Any], irlbl: Float64Array) -> None:
        n_samples, n_classes = array.shape
        may_miss = array.dtype.kind == "f"
        self.n_unlabelled = 0
        self.scumble_sum = 0.0
        self.scumble_sum_per_class = np.zeros(n_classes)
        self.rows_by_n_positive = np.zeros(n_classes + 1, dtype=np.int64)
        together = np.zeros((n_classes, n_classes))
        and_missing = np.zeros((n_classes, n_classes))
        packed = []
        for rows in row_blocks(n_samples, n_classes):
            positive = array[rows] == 1
            missing = np.isnan(array[rows]) if may_miss else np.zeros_like(positive)
            shown = positive.astype(np.float64)
            n_shown = np.count_nonzero(positive, axis=1)
            scumble = _row_scumble(shown, n_shown, irlbl)
            self.n_unlabelled += int(missing.all(axis=1).sum())
            self.scumble_sum += float(scumble.sum())
            self.scumble_sum_per_class += scumble @ shown
            self.rows_by_n_positive += np.bincount(n_shown, minlength=n_classes + 1)
            together += shown.T @ shown  # whole numbers below 2 ** 53 stay exact
            if may_miss:
                and_missing += shown.T @ missing
            packed.append(np.packbits(positive[~missing.any(axis=1)], axis=1))
        label_sets = np.concatenate(packed)
        self.n_complete = len(label_sets)
        self.n_label_sets = _n_distinct_rows(label_sets)
        self.co_occurrence = together.astype(np.int64)
        self.positive_and_known = np.diag(together)[:, None] - and_missing


def _row_scumble(
    shown: Float64Array, n_shown: npt.NDArray[np.intp], irlbl: Float64Array
) -> Float64Array:
    """Return 1 - geometric / arithmetic mean of the imbalance ratios that each row shows."""
    several = n_shown > 1
    n, shown = n_shown[several], shown[several]
    scumble = np.zeros(len(n_shown))
    ratio = np.exp(shown @ np.log(irlbl) / n) / (shown @ irlbl / n)
    scumble[several] = np.maximum(0.0, 1.0 - ratio)  # rounding can take equal ratios below 0
    return scumble


def _n_distinct_rows(packed: npt.NDArray[np.uint8]) -> int:
    """Count the distinct rows of bytes, eight columns at a time: fast for long label matrices."""
    n_rows, n_bytes = packed.shape
    padded = np.zeros((n_rows, -(-n_bytes // 8) * 8), dtype=np.uint8)
    padded[:, :n_bytes] = packed
    code = np.zeros(n_rows, dtype=np.int64)
    for word in padded.view(np.uint64).T:
        values, of_row = np.unique(word, return_inverse=True)
        code = np.unique(code * len(values) + of_row, return_inverse=True)[1]
    return len(np.unique(code))
