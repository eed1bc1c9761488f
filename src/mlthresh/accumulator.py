"""Threshold search over any number of rows, batches and processes in fixed memory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from typing_extensions import Unpack

from mlthresh._arrays import (
    as_labels,
    as_sample_weight,
    as_scores,
    is_tensor,
    matched_class_names,
    to_numpy,
)
from mlthresh._binned_scores import BinnedScores
from mlthresh._bins import make_bins
from mlthresh._scalars import as_integer
from mlthresh._tally import Header, Tally, as_pair
from mlthresh.exceptions import InputError
from mlthresh.options import SearchOptions
from mlthresh.settlement import settle
from mlthresh.threshold_set import ThresholdSet
from mlthresh.thresholds import ThresholdSearch

if TYPE_CHECKING:
    from mlthresh._device_tally import DeviceTally

__all__ = ["ThresholdAccumulator"]

_STATE_VERSION = 1


class ThresholdAccumulator:
    r"""Collect scores and labels batch by batch, then search thresholds over all of them.

    The state is a histogram: for each class the numbers of positives and negatives in equal bins
    of the score, 1 MB a class with 65,536 bins, however many rows it has seen. With bin edges
    :math:`e_0 < e_1 < \dots`,

    .. math:: TP(e_i) = \sum_{j \ge i} n^+_j, \qquad FP(e_i) = \sum_{j \ge i} n^-_j

    are the exact counts of ``score >= e_i``, so the search runs over the edges with nothing
    approximated but the choice of cuts. The reported thresholds are edges, which float32
    represents exactly: `ThresholdSet.predict` on the same scores reproduces the counts.

    Parameters
    ----------
    n_classes : int
        At least 1.
    n_bins : int, default 65536
        From 2 to 2**20.
    score_range : tuple of two floats, default (0, 1)
        The lowest and the highest score that can occur. Probabilities lie in (0, 1); for logits
        choose a range that holds them all, such as (-20, 20). A score outside raises.
    class_names : sequence of str, optional
        By default the column names of the first frame, if any.

    Raises
    ------
    InputError
        If an argument is out of its domain, or the bins are finer than float32.

    Notes
    -----
    Without weights the state is a set of whole numbers: any split into batches, any order and any
    tree of merges give the same state to the bit, up to 2**53 rows. So do weights that are
    multiples of one power of two and add up to less than 2**53 of it. Other weights are added in
    float64, in the order of the rows: the same calls give the same bits, another order may differ
    in the last ones.

    Thresholds are compared in float64 if any batch was float64, else in float32 (half precision
    is widened to it).

    Rounding differs from a search over the rows as follows. A threshold that lies midway between
    two scores is moved up to an edge, which changes no decision on the rows seen. Bounds are
    moved inward to edges. Points of a grid are moved to the nearest edge within the bounds, less
    than a bin away. A certified bound assumes each sample at the hardest score of its bin, so the
    promise holds, for a slightly lower (higher for specificity) threshold. "pooled" sees each
    sample in the middle of its bin: bins of logits serve it better than bins of probabilities,
    which merge what lies below 1 / n_bins.

    A histogram forgets which rows belong to one patient, so `groups` is not supported: certify
    floors with several images a patient by `find_optimal_thresholds`.

    Tensors on a CUDA device are counted there, for which as much memory is taken once more on the
    device; tensors elsewhere, and weighted ones, are counted on the processor.

    Examples
    --------
    >>> import numpy as np
    >>> accumulator = ThresholdAccumulator(n_classes=1)
    >>> accumulator.update(np.array([[1], [0]]), np.array([[0.9], [0.8]]))
    >>> accumulator.update(np.array([[1], [0], [0]]), np.array([[0.4], [0.2], [0.1]]))
    >>> found = accumulator.compute()
    >>> found.thresholds.round(3), found.recall
    (array([0.3]), array([1.]))
    """

    def __init__(
        self,
        n_classes: int,
        *,
        n_bins: int = 65536,
        score_range: tuple[float, float] = (0, 1),
        class_names: Sequence[str] | None = None,
    ) -> None:
        n_classes = as_integer(n_classes, "n_classes", 1)
        score_range = as_pair(score_range, "score_range")
        self._bins = make_bins(n_bins, score_range)
        names = matched_class_names(n_classes, class_names)
        self._header = Header(n_classes, len(self._bins), score_range, names)
        self._tally = Tally(n_classes, len(self._bins))
        self._waiting: DeviceTally | None = None

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return self._header.n_classes

    @property
    def n_bins(self) -> int:
        """Number of bins."""
        return self._header.n_bins

    @property
    def score_range(self) -> tuple[float, float]:
        """The lowest and the highest score that can occur."""
        return self._header.score_range

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The class names that were given or that a frame brought."""
        return self._header.class_names

    def __getstate__(self) -> dict[str, Any]:
        self._fetched()
        return {**vars(self), "_waiting": None}

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.n_classes}, n_bins={self.n_bins}, "
            f"score_range={self.score_range}, class_names={self.class_names})"
        )

    def update(self, y_true: Any, y_score: Any, sample_weight: Any = None) -> None:
        """Add rows. An error leaves the state as it was.

        Parameters
        ----------
        y_true : array, tensor or frame of shape (n_samples, n_classes)
            Labels 0, 1 or NaN (missing: the row does not count for that class). No rows are fine.
        y_score : array, tensor or frame of shape (n_samples, n_classes)
            Scores in `score_range`, higher for positives.
        sample_weight : array of shape (n_samples,), optional
            Finite weights, not negative; a row of weight zero counts as absent.

        Raises
        ------
        InputError
            If an array is not as described.
        """
        if sample_weight is None and self._add_on_device(y_true, y_score):
            return
        labels, label_columns = as_labels(y_true, "y_true")
        scores, score_columns = as_scores(y_score, labels.shape)
        if labels.shape[1] != self.n_classes:
            raise InputError(
                f"y_true has shape {labels.shape}, but the accumulator has {self.n_classes} classes"
            )
        weight = as_sample_weight(sample_weight, len(labels), may_be_zero=True)
        names = matched_class_names(self.n_classes, self.class_names, label_columns, score_columns)
        self._bins.check(scores, names, self.score_range)
        counted = np.ones(min(1, len(labels))) if weight is None else weight[weight > 0]
        self._header = replace(self._header, class_names=names)
        if len(counted):
            self._note(scores.dtype.name, float(counted.min()), float(counted.max()))
            self._tally.add_rows(self._bins, labels, scores, weight)

    def merge(self, other: ThresholdAccumulator) -> Self:
        """Add all rows of another accumulator, in place; the other is left as it is.

        Returns
        -------
        ThresholdAccumulator
            This one.

        Raises
        ------
        InputError
            If the other has other classes, bins or another range, or is this one, whose rows
            would count twice.
        """
        if other is self:
            raise InputError("an accumulator merged with itself would count each row twice")
        header = self._header.joined(other._header)
        self._fetched().add(other._fetched())
        self._header = header
        return self

    def all_reduce(self, group: Any = None) -> ThresholdAccumulator:
        """Return a new accumulator with the rows of all ranks, the same on every rank.

        This one is left as it is, so it can be updated and reduced again, and no row counts
        twice. Every rank of the group has to call this, also one without rows. Without an
        initialised process group the result is a copy.

        Parameters
        ----------
        group : torch.distributed.ProcessGroup, optional
            By default all ranks.

        Raises
        ------
        InputError
            If ranks disagree on classes, bins or range (on every rank alike), or this process
            is not in the group.
        """
        from mlthresh import _all_reduce

        reduced, tally = copy(self), self._fetched()
        if _all_reduce.is_single():
            weight, n_samples = tally.weight.copy(), tally.n_samples.copy()
        else:
            texts = _all_reduce.gather_texts(json.dumps(self._header.to_dict()), group)
            headers = [self._header.from_dict(json.loads(text)) for text in texts]
            reduced._header = reduce(Header.joined, headers)
            weight, n_samples = (
                _all_reduce.sum_over_ranks(array, group)
                for array in (tally.weight, tally.n_samples)
            )
        reduced._tally, reduced._waiting = Tally.of(reduced._header, weight, n_samples), None
        return reduced

    def compute(self, **options: Unpack[SearchOptions]) -> ThresholdSet:
        """Search a threshold for each class; more rows may follow.

        Parameters
        ----------
        **options
            As in `ThresholdSearch`.

        Raises
        ------
        InputError
            If there are no rows yet, or an option is not as described.
        InfeasibleError
            If a class is infeasible and `on_infeasible` is "raise".
        """
        if "groups" in options:
            raise InputError(
                "a histogram forgets which rows belong to one patient, so groups is not "
                "supported; use find_optimal_thresholds"
            )
        search = ThresholdSearch(**options)
        if self._header.dtype is None or self._header.weight_range is None:
            raise InputError("there are no rows to choose thresholds by; call update first")
        tally = self._fetched()
        lowest, highest = self._header.weight_range
        evidence = BinnedScores(
            self._bins,
            np.dtype(self._header.dtype),
            self.score_range,
            tally.weight,
            tally.n_samples,
            lowest if lowest == highest else None,
        )
        return settle(search, evidence, self.class_names)

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain values and CPU tensors, for `torch.save`.

        Imports torch. (Where there is none of it otherwise, an accumulator can be pickled.)
        """
        import torch

        tally = self._fetched()
        return {
            "version": _STATE_VERSION,
            **self._header.to_dict(),
            "weight": torch.from_numpy(tally.weight.copy()),
            "n_samples": torch.from_numpy(tally.n_samples.copy()),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Replace the state by a saved one.

        Raises
        ------
        InputError
            If the state is of an accumulator with other classes, bins or another range, or is
            damaged. The accumulator is then left as it was.
        """
        expected = {"version", *self._header.to_dict(), "weight", "n_samples"}
        if set(state_dict) != expected:
            raise InputError(
                f"an accumulator state has the keys {sorted(expected)}, got {sorted(state_dict)}"
            )
        values = dict(state_dict)
        version = values.pop("version")
        if version != _STATE_VERSION:
            raise InputError(
                f"state of version {version!r}; this release reads version {_STATE_VERSION}"
            )
        weight, n_samples = (
            to_numpy(values.pop(name), name)[0].copy() for name in ("weight", "n_samples")
        )
        header = self._header.from_dict(values)
        self._tally = Tally.of(header, weight, n_samples)
        self._header = header
        self._waiting = None

    def _add_on_device(self, y_true: Any, y_score: Any) -> bool:
        """Count on the scores' device where that is quick; errors are left to the processor."""
        if not (is_tensor(y_true) and is_tensor(y_score)) or y_score.device.type != "cuda":
            return False
        from mlthresh._device_tally import DeviceTally

        device = y_score.device
        if self._waiting is None or self._waiting.device != device:
            self._fetched()
            self._waiting = DeviceTally(self.n_classes, self._bins, device)
        added = self._waiting.add_rows(y_true.detach(), y_score.detach())
        if added and len(y_score):
            self._note("float64" if y_score.itemsize == 8 else "float32", 1.0, 1.0)
        return added

    def _fetched(self) -> Tally:
        """Return the tally with all that waits on a device."""
        if self._waiting is not None:
            count = self._waiting.fetch()
            self._tally.weight += count
            self._tally.n_samples += count.sum(axis=2)
        return self._tally

    def _note(self, dtype: Any, lowest: float, highest: float) -> None:
        self._header = self._header.joined(
            replace(self._header, dtype=dtype, weight_range=(lowest, highest))
        )
