"""
The threshold of a rare class
=============================

640 simulated patients. With 120 positives the F1 curve has a hill; with 8 it has steps, and the
best cut is the end of one of them. The band says how little the curve of a rare class is worth.
"""

import matplotlib.pyplot as plt
import numpy as np

from mlthresh import ThresholdDisplay, find_optimal_thresholds

rng = np.random.default_rng(10)  # picked: here the two strategies differ visibly
names = ["frequent", "medium", "rare"]
y_true = rng.random((640, 3)) < [0.19, 0.05, 0.0125]
y_score = 1 / (1 + np.exp(2.5 - rng.normal(2.0 * y_true)))
exact = find_optimal_thresholds(y_true, y_score, class_names=names)
pooled = find_optimal_thresholds(y_true, y_score, class_names=names, strategy="pooled")
print(pooled)

# %%
# The chosen cut is that of ``strategy="exact"``; the grey line is where ``"pooled"``, which lets
# the rare class borrow from the others, puts it.

figure, axes = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained", sharey=True)
for ax, name in zip(axes, ("frequent", "rare"), strict=True):
    ThresholdDisplay.from_predictions(y_true, y_score, exact, class_of_interest=name, ax=ax)
    threshold = pooled.select([name]).thresholds[0]
    ax.axvline(threshold, color="#767676", label=f"pooled: {threshold:.3g}")
    ax.legend(fontsize="x-small", loc="upper right")
