"""Equal bins over a range of scores, with edges that a score can be compared with exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import FloatArray, entry_name, row_blocks
from mlthresh._scalars import as_integer
from mlthresh.exceptions import InputError

__all__ = ["Bins", "make_bins"]

_MOST_BINS = 1 << 20


@dataclass(frozen=True, eq=False)
class Bins:
    """Bin i holds the scores of at least edge i and below edge i + 1, the last one the end too.

    The edges are float32 numbers, which float64 represents as well, so that a score lies in bin
    i or above exactly if ``score >= edges[i]``. A threshold is *known* where no bin has scores
    on both sides of it: at an edge, anywhere below the first, and above the range.

    Attributes
    ----------
    edges : float32 array of shape (n_bins,)
        The lower edges.
    high : float32
        The highest score.
    scale : float or None
        Where ``floor(score * scale)`` is the bin without any rounding.
    """

    edges: npt.NDArray[np.float32]
    high: np.float32
    scale: float | None

    def __len__(self) -> int:
        """Return the number of bins."""
        return len(self.edges)

    @property
    def low(self) -> np.float32:
        """The lowest score."""
        low: np.float32 = self.edges[0]
        return low

    def check(
        self,
        scores: FloatArray,
        columns: tuple[str, ...] | None,
        score_range: tuple[float, float],
    ) -> None:
        """Raise unless all scores (n_samples, n_classes) lie in the range."""
        for rows in row_blocks(*scores.shape):
            block = scores[rows]
            if block.min() < self.low or block.max() > self.high:
                row, column = np.argwhere((block < self.low) | (block > self.high))[0]
                raise InputError(
                    f"{entry_name('y_score', rows.start + row, column, columns)} is "
                    f"{block[row, column]}, outside score_range {score_range}; make the "
                    "accumulator with a range that holds every score, such as (-20, 20) for "
                    "logits, or clip the scores"
                )

    def index(self, score: FloatArray) -> npt.NDArray[np.intp]:
        """Return the bin of each score; all lie in the range."""
        last = len(self) - 1
        if self.scale is not None:
            exact = (score * score.dtype.type(self.scale)).astype(np.intp)
            return np.minimum(exact, last, out=exact)
        width = (float(self.high) - float(self.low)) / len(self)
        near = (score.astype(np.float64) - float(self.low)) / width
        index = np.minimum(near.astype(np.intp), last)
        # A bin is at least a step of float32 wide, so rounding displaces by one bin at most.
        index -= score < self.edges[index]
        following = np.append(self.edges[1:], np.float32(np.inf))
        index += score >= following[index]
        return index

    def tops(self, dtype: np.dtype[Any]) -> FloatArray:
        """Return the highest score of that type that each bin can hold."""
        edges = self.edges.astype(dtype)
        return np.append(np.nextafter(edges[1:], -dtype.type(np.inf)), dtype.type(self.high))

    def known_from(self, threshold: FloatArray) -> FloatArray:
        """Return the lowest known thresholds that are not below these."""
        dtype = threshold.dtype
        edges = self.edges.astype(dtype)
        beyond = np.nextafter(dtype.type(self.high), dtype.type(np.inf))
        up = np.append(edges, beyond)[edges.searchsorted(threshold)]
        outside = (threshold <= edges[0]) | (threshold > self.high)
        return np.where(outside, threshold, up)

    def known_to(self, threshold: FloatArray) -> FloatArray:
        """Return the highest known thresholds that are not above these."""
        edges = self.edges.astype(threshold.dtype)
        down = edges[np.maximum(edges.searchsorted(threshold, side="right") - 1, 0)]
        outside = (threshold <= edges[0]) | (threshold > self.high)
        return np.where(outside, threshold, down)


def make_bins(n_bins: int, score_range: tuple[float, float]) -> Bins:
    """Return equal bins over a range, whose ends are rounded outward to float32."""
    n_bins = as_integer(n_bins, "n_bins", 2, _MOST_BINS + 1)
    lowest, highest = score_range
    largest = float(np.finfo(np.float32).max)
    if not -largest <= lowest < highest <= largest:
        raise InputError(
            f"score_range must be (lowest, highest), finite in float32, got {score_range!r}"
        )
    low = _outward(lowest, -np.inf)
    high = _outward(highest, np.inf)
    width = (float(high) - float(low)) / n_bins
    if width < float(np.spacing(max(abs(low), abs(high)))):
        raise InputError(
            f"{n_bins} bins over score_range {score_range!r} are finer than float32 can tell; "
            "take fewer bins or shift the scores towards zero"
        )
    edges = (float(low) + np.arange(n_bins) * width).astype(np.float32)
    dyadic = low == 0 and math.frexp(width)[0] == 0.5 and 1e-30 < width < 1e30
    return Bins(edges, high, 1 / width if dyadic else None)


def _outward(end: float, direction: float) -> np.float32:
    near = np.float32(end)
    inward = float(near) > end if direction < 0 else float(near) < end
    return np.nextafter(near, np.float32(direction)) if inward else near
