"""The bootstrap over rows, or over patients of several rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from mlthresh._intervals import Float64Array

__all__ = ["bias_corrected_interval", "row_multiplicities"]

_BLOCK_ELEMENTS = 1 << 19  # 4 MiB of multiplicities at a time; larger blocks run slower


def row_multiplicities(
    n_rows: int,
    n_resamples: int,
    rng: np.random.Generator,
    units: npt.NDArray[np.intp] | None = None,
) -> Iterator[Float64Array]:
    """Draw n_rows rows with replacement, n_resamples times; yield how often each row came.

    With `units`, patients 0, 1, ... are drawn with all their rows, as many as there are.

    Yields
    ------
    array of shape (n_rows, block)
        One column a resample, summing to n_rows (without units); the blocks add up to
        n_resamples columns.
    """
    block = max(1, _BLOCK_ELEMENTS // n_rows)
    n_drawn = n_rows if units is None else int(units.max()) + 1
    for start in range(0, n_resamples, block):
        size = min(block, n_resamples - start)
        drawn = rng.integers(n_drawn, size=(size, n_drawn))
        drawn += n_drawn * np.arange(size)[:, None]  # a range of its own for each resample
        counts = np.bincount(drawn.ravel(), minlength=size * n_drawn).reshape(size, n_drawn)
        columns = np.ascontiguousarray(counts.T, dtype=np.float64)
        yield columns if units is None else columns[units]


def bias_corrected_interval(
    estimate: float, resampled: Float64Array, confidence: float
) -> tuple[float, float]:
    """Return Efron's bias-corrected percentile interval.

    With Phi the normal distribution function and z0 = Phi^-1(share of resampled values below
    the estimate, ties counting half), its ends are the quantiles of the resampled values at
    Phi(2 z0 -+ Phi^-1((1 + confidence) / 2)). It is the percentile interval where the estimate
    is their median; but F1 of rare classes is biased downwards, and more so in resamples.

    Undefined (NaN) resampled values are left out. Without any left, or without an estimate,
    both ends are NaN.

    References
    ----------
    B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 14.

    Examples
    --------
    >>> lower, upper = bias_corrected_interval(50.0, np.arange(101.0), confidence=0.5)
    >>> round(lower, 6), round(upper, 6)
    (25.0, 75.0)
    """
    from scipy.special import ndtr, ndtri

    values = resampled[~np.isnan(resampled)]
    if len(values) == 0 or np.isnan(estimate):
        return float("nan"), float("nan")
    below = (np.mean(values < estimate) + np.mean(values <= estimate)) / 2.0
    least = 0.5 / len(values)  # a share of 0 or 1 would send z0 to infinity
    z0 = ndtri(np.clip(below, least, 1.0 - least))
    z = ndtri((1.0 + confidence) / 2.0)
    lower, upper = np.quantile(values, ndtr([2.0 * z0 - z, 2.0 * z0 + z]))
    return float(lower), float(upper)
