"""
Certified floors: how many positives does it take?
==================================================

A recall of 0.8 on ten validation positives may be 0.6 on all patients. A certified floor keeps a
distance below the positives' scores that binomial counts give, whatever the scores look like; with
too few positives it says so.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import norm

from mlthresh import find_optimal_thresholds, positives_needed

floors = np.linspace(0.05, 0.95, 91)
figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
for confidence, colour in ((0.8, "#56B4E9"), (0.9, "#0072B2"), (0.95, "#222222")):
    needed = [positives_needed(floor, confidence) for floor in floors]
    axes.step(floors, needed, where="mid", color=colour, label=f"confidence {confidence:g}")
axes.set(xlabel="floor on recall", ylabel="independent positives needed", yscale="log")
axes.set_yticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
axes.grid(alpha=0.3)
axes.legend(frameon=False)

# %%
# Does the promise hold? 1,000 simulated validation sets of 400 rows with a given number of
# positives, whose scores are normal: then the recall on all patients is known. Shown is the share
# of sets whose floor of 0.8 holds there, with 95 % intervals, and the confidence asked for, dotted.

SETS, FLOOR, SEPARATION = 1000, 0.8, 1.5
rng = np.random.default_rng(0)
figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
counts = np.array([11, 15, 20, 30, 50, 80])
for label, options, colour in (
    ("checked on the validation set", {}, "#D55E00"),
    ("certified, confidence 0.9", {"confidence": 0.9}, "#0072B2"),
):
    shares = []
    for n in counts:
        y_true = np.zeros((400, SETS))
        y_true[:n] = 1
        scores = rng.normal(SEPARATION * y_true)
        found = find_optimal_thresholds(
            y_true, scores, min_recall=FLOOR, score_scale="real", **options
        )
        assert set(found.status) == {"ok"}
        shares.append((norm.sf(found.thresholds - SEPARATION) >= FLOOR).mean())
    half = 1.96 * np.sqrt(np.array(shares) * (1 - np.array(shares)) / SETS)
    axes.errorbar(counts, shares, yerr=half, fmt="o-", color=colour, label=label)
axes.axhline(0.9, color="#767676", linestyle=":")
axes.set(xlabel="validation positives", ylabel="floors that hold", ylim=(0, 1.02))
axes.legend(frameon=False, loc="lower right")
