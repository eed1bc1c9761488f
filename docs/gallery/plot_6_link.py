"""
What a focal loss does to probabilities, and how to undo it
===========================================================

A linear model is trained on simulated rows whose true probabilities are known, by focal loss with
``pos_weight``. What ``sigmoid`` makes of its logits is no probability; the loss's
:meth:`~mlthresh.FocalLossWithPosWeight.posterior` is, up to what any finite training set leaves.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from mlthresh import FocalLossWithPosWeight, compute_pos_weight

rng = np.random.default_rng(0)
slopes = rng.normal(scale=0.6, size=(6, 3))
x = rng.normal(size=(40_000, 6))
truth = 1 / (1 + np.exp(-(x @ slopes + np.log([0.3, 0.08, 0.02]))))
y = rng.random(truth.shape) < truth
x, y = torch.tensor(x), torch.tensor(y, dtype=torch.float64)

loss = FocalLossWithPosWeight(gamma=2.5, alpha=0.15, pos_weight=compute_pos_weight(y[:20_000]))
model = torch.nn.Linear(6, 3, dtype=torch.float64)
torch.nn.init.zeros_(model.weight)
torch.nn.init.zeros_(model.bias)
optimizer = torch.optim.LBFGS(model.parameters(), max_iter=60, line_search_fn="strong_wolfe")


def closure():
    optimizer.zero_grad()
    value = loss(model(x[:20_000]), y[:20_000])
    value.backward()
    return value


optimizer.step(closure)
with torch.no_grad():
    logits = model(x[20_000:])
    raw, linked = torch.sigmoid(logits).numpy(), loss.posterior(logits).numpy()

# %%
# On 20,000 rows that training did not see, in 12 bins of equally many rows: how often the class is
# there against what the score says. On the diagonal a score can be taken at its word.

figure, axes = plt.subplots(1, 2, figsize=(8.4, 4.4), layout="constrained")
held_out = y[20_000:].numpy()
for ax, score, title in ((axes[0], raw, "sigmoid(logits)"), (axes[1], linked, "loss.posterior")):
    for c, (name, colour) in enumerate(
        zip(("frequent", "medium", "rare"), ("#0072B2", "#E69F00", "#D55E00"), strict=True)
    ):
        bins = np.array_split(np.argsort(score[:, c]), 12)
        said = [score[rows, c].mean() for rows in bins]
        seen = np.array([held_out[rows, c].mean() for rows in bins])
        half = 1.96 * np.sqrt(seen * (1 - seen) / len(bins[0]))
        ax.errorbar(said, seen, yerr=half, fmt="o-", markersize=4, color=colour, label=name)
    ax.plot([0, 1], [0, 1], color="#767676", linestyle=":")
    ax.set(title=title, xlabel="score", ylabel="share with the class", xlim=(0, 1), ylim=(0, 1))
axes[0].legend(frameon=False)

# %%
# Which distortion to expect, before any training: see "0.5 means".

print(loss.explain(y[:20_000], class_names=["frequent", "medium", "rare"]))
