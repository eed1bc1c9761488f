"""
What the sampler shows the network
==================================

Simulated labels with the frequencies of eight of RFMiD's classes. The sampler weighs a row by one
over the count of the rarest class that it shows, to a power: 0 changes nothing, 1 is the recipe's,
and between them is a compromise between rare classes and repeating the same few rows.
"""

import matplotlib.pyplot as plt
import numpy as np

from mlthresh import RarestClassSampler

rng = np.random.default_rng(0)
names = np.array(["DR", "MH", "ODC", "DN", "MYA", "BRVO", "CRVO", "RPEC"])
labels = rng.random((1920, 8)) < np.array([376, 317, 282, 138, 101, 73, 28, 22]) / 1920

figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
places = np.arange(8)
axes.plot(places, labels.mean(axis=0), "_", markersize=22, color="#222222", label="in the data")
for power, colour, shift in ((0.5, "#56B4E9", -0.17), (1.0, "#0072B2", 0.17)):
    sampler = RarestClassSampler(labels, num_samples=20_000, seed=0, power=power)
    rows = list(sampler)  # an epoch; the next one would be others
    drawn = labels[rows].mean(axis=0)
    worth = f"power {power:g}: worth {sampler.effective_sample_size:,.0f} uniform draws"
    axes.bar(places + shift, drawn, 0.32, color=colour, label=worth)
axes.set(xticks=places, xticklabels=names, yscale="log", ylabel="share of the rows drawn")
axes.set_yticks([0.01, 0.02, 0.05, 0.1, 0.2], ["1 %", "2 %", "5 %", "10 %", "20 %"], minor=False)
axes.set_yticks([], minor=True)
axes.set_ylim(0.009, 0.5)
axes.legend(frameon=False, loc="upper right")

# %%
# "Worth": how many of the 20,000 draws are left, in effect, once ``sampler.importance_weights``
# make up for the sampling. So weighted, averages over draws estimate those over the data:

again = np.average(labels[rows], axis=0, weights=sampler.importance_weights[rows])
for name, share, estimate in zip(names, labels.mean(axis=0), again, strict=True):
    print(f"{name:5s} in the data {share:.3f}, in weighted draws {estimate:.3f}")
