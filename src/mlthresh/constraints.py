"""What a threshold of one class must satisfy, and by how much it fails."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlthresh.counts import CountArray, Counts

__all__ = ["Constraints"]


@dataclass(frozen=True)
class Constraints:
    """Floors and a ceiling on the rates of one class; None leaves a rate free."""

    min_recall: float | None = None
    min_precision: float | None = None
    min_specificity: float | None = None
    max_alarm_rate: float | None = None

    def shortfalls(self, counts: Counts) -> CountArray:
        """Return by how much each constraint is missed, shape (n_constraints, n_thresholds).

        At most 0 is satisfied. A floor on a rate whose denominator is zero is missed by
        infinity: a threshold that never calls anything positive has no precision. The floor on
        recall, if any, comes first.
        """
        tp, fp, fn, tn = counts
        missed = [
            _shortfall(part, whole, floor)
            for floor, part, whole in (
                (self.min_recall, tp, tp + fn),
                (self.min_precision, tp, tp + fp),
                (self.min_specificity, tn, tn + fp),
            )
            if floor is not None
        ]
        if self.max_alarm_rate is not None:
            # A ceiling is a floor on the negated rate.
            missed.append(_shortfall(-(tp + fp), tp + fp + fn + tn, -self.max_alarm_rate))
        return np.array(missed).reshape(len(missed), len(tp))


def _shortfall(part: CountArray, whole: CountArray, floor: float) -> CountArray:
    # Floor and rate are compared as given and divided, so that 3 of 10 meets a floor of 0.3.
    rate = np.full(part.shape, -np.inf)
    np.divide(part, whole, out=rate, where=whole > 0)
    return floor - rate
