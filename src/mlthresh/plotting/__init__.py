"""Displays of thresholds, operating points, classes and their imbalance.

They follow scikit-learn's convention: a class method computes what is shown and draws it,
the result keeps the numbers as attributes and can be drawn again with ``plot(ax=...)``.
Matplotlib (the extra ``plot``) is imported on drawing. No global setting is touched.
"""

from mlthresh.plotting.co_occurrence import CoOccurrenceDisplay
from mlthresh.plotting.forest import ForestDisplay
from mlthresh.plotting.imbalance import ImbalanceDisplay
from mlthresh.plotting.operating_point import OperatingPointDisplay
from mlthresh.plotting.threshold import ThresholdDisplay

__all__ = [
    "CoOccurrenceDisplay",
    "ForestDisplay",
    "ImbalanceDisplay",
    "OperatingPointDisplay",
    "ThresholdDisplay",
]
