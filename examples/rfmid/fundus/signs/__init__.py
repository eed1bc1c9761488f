"""The visible signs of the sixteen diseases.

Each function changes the plan of an eye: it alters the anatomy, and adds what is to be painted
under (``deep``) or over (``superficial``) the retinal vessels. All of it varies in number, size,
place and severity, down to mild cases that are easily missed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from examples.rfmid.fundus.retina import Retina

from .background import media_haze, myopia, tessellation
from .bleeding import branch_vein_occlusion, central_vein_occlusion, diabetic_retinopathy
from .disc import optic_disc_cupping, optic_disc_edema, optic_disc_pallor
from .macula import (
    central_serous_retinopathy,
    drusen,
    macular_degeneration,
    pigment_epithelium_changes,
)
from .scars import chorioretinitis, laser_scars, retinitis

Sign = Callable[[Retina, np.random.Generator], None]

SIGNS: dict[str, Sign] = {
    "DR": diabetic_retinopathy,
    "MH": media_haze,
    "ODC": optic_disc_cupping,
    "TSLN": tessellation,
    "DN": drusen,
    "MYA": myopia,
    "ARMD": macular_degeneration,
    "BRVO": branch_vein_occlusion,
    "ODP": optic_disc_pallor,
    "ODE": optic_disc_edema,
    "LS": laser_scars,
    "RS": retinitis,
    "CSR": central_serous_retinopathy,
    "CRS": chorioretinitis,
    "CRVO": central_vein_occlusion,
    "RPEC": pigment_epithelium_changes,
}
