"""
Thresholds from a stream
========================

Scores that come batch by batch, or from several processes, need not be kept:
:class:`~mlthresh.ThresholdAccumulator` counts them in bins and searches the bins. Simulated: two
processes with 100 batches of 500 rows each, three classes.
"""

import matplotlib.pyplot as plt
import numpy as np

from mlthresh import ThresholdAccumulator, find_optimal_thresholds

rng = np.random.default_rng(0)
names = ["frequent", "medium", "rare"]
processes = [ThresholdAccumulator(3, class_names=names) for _ in range(2)]
kept, seen, thresholds = [], [], []
for _ in range(100):
    for accumulator in processes:
        y_true = rng.random((500, 3)) < [0.2, 0.03, 0.004]
        y_score = 1 / (1 + np.exp(2 - rng.normal(2.0 * y_true)))
        accumulator.update(y_true, y_score)
        kept.append((y_true, y_score))  # only to compare
    everything = ThresholdAccumulator(3, class_names=names)
    for accumulator in processes:
        everything.merge(accumulator)
    seen.append(500 * len(kept))
    thresholds.append(everything.compute().thresholds)

# %%
# A line moves where another cut overtakes the best one so far.

figure, axes = plt.subplots(figsize=(6.4, 4), layout="constrained")
for c, colour in enumerate(("#0072B2", "#E69F00", "#D55E00")):
    axes.step(seen, np.array(thresholds)[:, c], where="post", color=colour, label=names[c])
axes.set(xlabel="rows seen", ylabel="F1-optimal threshold so far", xscale="log", ylim=(0, 1))
axes.legend(frameon=False, loc="lower right")

# %%
# In the end: the same as from all 100,000 rows at once, up to the width of a bin, on a fixed budget
# of memory.

exact = find_optimal_thresholds(*map(np.concatenate, zip(*kept, strict=True)))
for c, name in enumerate(names):
    print(f"{name:9s} stream {thresholds[-1][c]:.5f}, all rows {exact.thresholds[c]:.5f}")
