"""Fundus-like photographs to try the recipe on, where RFMiD's own are not at hand.

Each photograph is drawn from a seed: an eye with optic disc, macula and branching vessels, and on
it the signs of the diseases on its label, which follow RFMiD's long-tailed frequencies and
co-occurrence. They are drawings, not data about patients.

``label_sets`` deals the labels; ``retina`` plans an eye, ``signs`` let the diseases change the
plan, ``vessels`` grow, ``anatomy`` paints on a ``canvas``, ``camera`` exposes; ``render`` puts
these together, and ``dataset`` writes the files.
"""

from .dataset import generate_dataset
from .label_sets import CODES, DISEASES, LABEL_SETS, deal_label_sets
from .render import draw_fundus

__all__ = [
    "CODES",
    "DISEASES",
    "LABEL_SETS",
    "deal_label_sets",
    "draw_fundus",
    "generate_dataset",
]
