"""Fundus-like photographs to try the recipe on, where RFMiD's own are not at hand.

Each photograph is drawn from a seed: an eye with optic disc, macula and branching vessels, and on
it the signs of the diseases on its label, which follow RFMiD's long-tailed frequencies and
co-occurrence. They are drawings, not data about patients.

``label_sets`` deals the labels; ``retina`` plans an eye, ``signs`` let the diseases change the
plan, ``vessels`` grow, ``anatomy`` paints on a ``canvas``, ``camera`` exposes; ``render`` puts
these together, ``dataset`` writes the files and ``sheet`` shows a sample.
"""

from .dataset import generate_dataset
from .label_sets import CODES, DISEASES, LABEL_SETS, deal_label_sets
from .render import draw_fundus
from .sheet import contact_sheet

__all__ = [
    "CODES",
    "DISEASES",
    "LABEL_SETS",
    "contact_sheet",
    "deal_label_sets",
    "draw_fundus",
    "generate_dataset",
]
