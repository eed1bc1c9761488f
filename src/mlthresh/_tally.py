"""A histogram of each class's scores: what is in it, how rows are added and how two become one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import FloatArray, matched_class_names, row_blocks
from mlthresh._bins import Bins
from mlthresh._scalars import as_number
from mlthresh.exceptions import InputError

__all__ = ["Header", "ScoreDtype", "Tally", "as_pair"]

ScoreDtype = Literal["float32", "float64"]


@dataclass(frozen=True)
class Header:
    """What histograms must share to be added, and what else is known of their rows.

    Attributes
    ----------
    dtype : {"float32", "float64"} or None
        The widest that scores came in; None before any row.
    weight_range : tuple of two floats, or None
        The lowest and the highest weight of a row; rows of weight zero don't count.
    """

    n_classes: int
    n_bins: int
    score_range: tuple[float, float]
    class_names: tuple[str, ...] | None = None
    dtype: ScoreDtype | None = None
    weight_range: tuple[float, float] | None = None

    def joined(self, other: Header) -> Header:
        """Return the header of both histograms' sum."""
        for name in ("n_classes", "n_bins", "score_range"):
            if getattr(self, name) != getattr(other, name):
                raise InputError(
                    f"accumulators must agree on {name}, got {getattr(self, name)!r} and "
                    f"{getattr(other, name)!r}"
                )
        ranges = [r for r in (self.weight_range, other.weight_range) if r is not None]
        dtypes = [d for d in (self.dtype, other.dtype) if d is not None]
        return replace(
            self,
            class_names=matched_class_names(self.n_classes, self.class_names, other.class_names),
            dtype="float64" if "float64" in dtypes else dtypes[0] if dtypes else None,
            weight_range=(
                (min(low for low, _ in ranges), max(high for _, high in ranges)) if ranges else None
            ),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    def from_dict(self, values: Mapping[str, Any]) -> Header:
        """Return a saved or received header, which can be joined with this one."""
        dtype, names, weights = values["dtype"], values["class_names"], values["weight_range"]
        if dtype not in (None, "float32", "float64"):
            raise InputError(f"dtype must be 'float32', 'float64' or None, got {dtype!r}")
        if names is not None and not isinstance(names, list | tuple):
            raise InputError(f"class_names must be a list, got {names!r}")
        if (dtype is None) != (weights is None):
            raise InputError(f"got dtype {dtype!r} with weight_range {weights!r}")
        other = Header(
            values["n_classes"],
            values["n_bins"],
            as_pair(values["score_range"], "score_range"),
            None if names is None else tuple(names),
            dtype,
            None if weights is None else as_pair(weights, "weight_range"),
        )
        self.joined(other)
        return other


def as_pair(values: Any, name: str) -> tuple[float, float]:
    """Return two finite numbers."""
    if not isinstance(values, list | tuple) or len(values) != 2:
        raise InputError(f"{name} must be two numbers, got {values!r}")
    low, high = (as_number(value, name) for value in values)
    return low, high


class Tally:
    """Weights of negatives and positives by bin, and the numbers of samples.

    Whole numbers below 2**53 add without rounding, in any order: so do counts, as do weights
    that are multiples of a power of two.
    """

    def __init__(self, n_classes: int, n_bins: int) -> None:
        self.weight = np.zeros((n_classes, 2, n_bins))
        self.n_samples = np.zeros((n_classes, 2), dtype=np.int64)

    @classmethod
    def of(cls, header: Header, weight: npt.NDArray[Any], n_samples: npt.NDArray[Any]) -> Tally:
        """Return the tally that these arrays, not copied, are the state of, if they can be."""
        tally = cls.__new__(cls)
        shape = header.n_classes, 2, header.n_bins
        for name, array, expected, dtype in (
            ("weight", weight, shape, np.float64),
            ("n_samples", n_samples, shape[:2], np.int64),
        ):
            if array.shape != expected or array.dtype != dtype:
                raise InputError(
                    f"{name} must have shape {expected} and dtype {np.dtype(dtype)}, got "
                    f"{array.shape} and {array.dtype}"
                )
            if not (np.isfinite(array).all() and (array >= 0).all()):
                raise InputError(f"{name} must be finite and not negative")
        if header.weight_range == (1.0, 1.0) and (weight.sum(axis=2) != n_samples).any():
            raise InputError("weight does not add up to n_samples, which it has to at weights of 1")
        if header.weight_range is None and weight.any():
            raise InputError("weight is not zero, but no row has been counted")
        tally.weight, tally.n_samples = weight, n_samples
        return tally

    def add_rows(
        self,
        bins: Bins,
        labels: npt.NDArray[Any],
        scores: FloatArray,
        weight: npt.NDArray[np.float64] | None,
    ) -> None:
        """Add checked rows; missing labels and rows of weight zero don't count."""
        n_classes, _, n_bins = self.weight.shape
        flat = self.weight.reshape(-1)
        first = np.arange(n_classes) * (2 * n_bins)
        for rows in row_blocks(*labels.shape):
            is_positive = labels[rows] == 1
            is_known = is_positive | (labels[rows] == 0)
            index = bins.index(scores[rows]) + first + is_positive * n_bins
            added: Any = 1.0
            if weight is not None:
                added = np.broadcast_to(weight[rows, None], index.shape)
                is_known &= added > 0
                added = added[is_known]
            np.add.at(flat, index[is_known], added)
            known = np.count_nonzero(is_known, axis=0)
            positive = np.count_nonzero(is_known & is_positive, axis=0)
            self.n_samples += np.stack([known - positive, positive], axis=1)

    def add(self, other: Tally) -> None:
        """Add the other's rows."""
        self.weight += other.weight
        self.n_samples += other.n_samples
