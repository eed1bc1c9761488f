"""
Imbalance and co-occurrence
===========================

Look at the labels before training: how rare is rare, are the splits alike, what comes together?
Labels are simulated with the frequencies of eight of RFMiD's classes; one pair is made to co-occur.
"""

import numpy as np

from mlthresh import (
    CoOccurrenceDisplay,
    ImbalanceDisplay,
    imbalance_report,
    multilabel_train_test_split,
)

rng = np.random.default_rng(0)
names = ["DR", "MH", "ODC", "DN", "MYA", "BRVO", "CRVO", "RPEC"]
labels = rng.random((1920, 8)) < np.array([376, 317, 282, 138, 101, 73, 28, 22]) / 1920
labels[:, 2] |= labels[:, 4] & (rng.random(1920) < 0.5)  # half of MYA's images show ODC too

train, test = multilabel_train_test_split(labels, test_size=0.25, seed=0)
ImbalanceDisplay.from_labels({"training": labels[train], "test": labels[test]}, names, min_count=20)

# %%
# A row reads: of the images that show this class, so many show that one too.

CoOccurrenceDisplay.from_labels(labels, names)

# %%
# The same in numbers.

print(imbalance_report(labels, names))
