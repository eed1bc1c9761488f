"""
A report by patients
====================

Several photographs of a patient are not independent. Here 150 simulated patients have four almost
equal ones each: 600 images that know little more than 150. With ``groups`` the intervals say so.
"""

import matplotlib.pyplot as plt
import numpy as np

from mlthresh import ForestDisplay, multilabel_report

rng = np.random.default_rng(0)
names = ["DR", "ODC", "DN", "BRVO", "CSR"]
patients = np.repeat(np.arange(150), 4)
disease = rng.random((150, 5)) < [0.30, 0.20, 0.15, 0.10, 0.05]
latent = rng.normal(1.8 * disease)[patients] + 0.2 * rng.normal(size=(600, 5))
y_true, y_score = disease[patients], 1 / (1 + np.exp(1.2 - latent))

as_images = multilabel_report(y_true, y_score, 0.5, class_names=names)
by_patient = multilabel_report(y_true, y_score, 0.5, class_names=names, groups=patients)

# %%
# The same recall, measured on the same rows; only the intervals differ, and the right ones are the
# wider ones.

figure, axes = plt.subplots(2, 1, figsize=(6.4, 5.6), layout="constrained", sharex=True)
for ax, report, title in (
    (axes[0], as_images, "images taken for independent: too sure"),
    (axes[1], by_patient, "groups=patients"),
):
    ForestDisplay.from_report(report, "recall", ax=ax)
    ax.set_title(title)
