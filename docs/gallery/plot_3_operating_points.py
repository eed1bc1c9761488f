"""
Operating points on ROC and precision-recall curves
===================================================

One simulated class, about 60 positives in 1,200 patients. A curve shows what a model could do; an
operating point, with its intervals, what it does at a threshold.
"""

import numpy as np

from mlthresh import OperatingPointDisplay, cost, find_optimal_thresholds

rng = np.random.default_rng(0)
y_true = rng.random((1200, 1)) < 0.05
y_score = 1 / (1 + np.exp(3 - rng.normal(2.2 * y_true)))
chosen = {
    "at 0.5": 0.5,
    "best F1": find_optimal_thresholds(y_true, y_score),
    "a miss costs 15 false alarms": find_optimal_thresholds(
        y_true, y_score, objective=cost(miss=15, false_alarm=1)
    ),
}
display = OperatingPointDisplay.from_predictions(y_true, y_score, chosen, class_names=["DR"])

# %%
# The numbers behind the points are attributes. They are apparent: measured on the patients that
# chose the thresholds.

for name, point in display.points.items():
    print(f"{name:30s} recall {point.recall:.2f}, precision {point.precision:.2f}")
