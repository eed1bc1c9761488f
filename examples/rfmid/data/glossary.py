"""Disease names behind the codes of a data set.

A code means something only within its data set: ``MH`` is media haze in RFMiD and media opacity in
ODIR, ``RP`` is retinitis pigmentosa in RFMiD and pigmentation in ODIR. So a glossary belongs to a
data set, and a code without an entry is shown as it is: that is never wrong.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from examples.rfmid.errors import RecipeError

# Pachade et al., "Retinal Fundus Multi-Disease Image Dataset (RFMiD)", Data 2021, 6(2):14.
RFMID = MappingProxyType(
    {
        "DR": "diabetic retinopathy",
        "ARMD": "age-related macular degeneration",
        "MH": "media haze",
        "DN": "drusen",
        "MYA": "myopia",
        "BRVO": "branch retinal vein occlusion",
        "TSLN": "tessellation",
        "ERM": "epiretinal membrane",
        "LS": "laser scars",
        "MS": "macular scar",
        "CSR": "central serous retinopathy",
        "ODC": "optic disc cupping",
        "CRVO": "central retinal vein occlusion",
        "TV": "tortuous vessels",
        "AH": "asteroid hyalosis",
        "ODP": "optic disc pallor",
        "ODE": "optic disc edema",
        "ST": "optociliary shunt",
        "AION": "anterior ischemic optic neuropathy",
        "PT": "parafoveal telangiectasia",
        "RT": "retinal traction",
        "RS": "retinitis",
        "CRS": "chorioretinitis",
        "EDN": "exudation",
        "RPEC": "retinal pigment epithelium changes",
        "MHL": "macular hole",
        "RP": "retinitis pigmentosa",
        "CWS": "cotton wool spots",
        "CB": "coloboma",
        "ODPM": "optic disc pit maculopathy",
        "PRH": "preretinal hemorrhage",
        "MNF": "myelinated nerve fibers",
        "HR": "hemorrhagic retinopathy",
        "CRAO": "central retinal artery occlusion",
        "TD": "tilted disc",
        "CME": "cystoid macular edema",
        "PTCR": "post-traumatic choroidal rupture",
        "CF": "choroidal folds",
        "VH": "vitreous hemorrhage",
        "MCA": "macroaneurysm",
        "VS": "vasculitis",
        "BRAO": "branch retinal artery occlusion",
        "PLQ": "plaque",
        "HPED": "hemorrhagic pigment epithelial detachment",
        "CL": "collateral",
    }
)

# ODIR-5K (Peking University / Shanggong), its diagnostic keywords merged into codes.
ODIR = MappingProxyType(
    {
        "DR": "diabetic retinopathy",
        "ERM": "epiretinal membrane",
        "CAT": "cataract",
        "GLA": "glaucoma, suspected or manifest",
        "ARMD": "age-related macular degeneration",
        "MYA": "pathological myopia",
        "HTR": "hypertensive retinopathy",
        "DN": "drusen",
        "MNF": "myelinated nerve fibers",
        "VD": "vitreous degeneration",
        "MH": "media opacity",
        "LS": "laser spots or scars",
        "BRVO": "branch retinal vein occlusion",
        "MAC": "maculopathy",
        "RP": "pigmentation",
        "SMC": "spotted membranous change",
        "CRVO": "central retinal vein occlusion",
        "TSLN": "tessellation",
        "ODE": "optic disc edema",
        "CRA": "chorioretinal atrophy",
        "OTHER": "other abnormality",
    }
)

# What a reader may look for in the photograph, by disease name: codes differ between data sets.
SIGNS = MappingProxyType(
    {
        "diabetic retinopathy": "microaneurysms, hemorrhages, hard exudates",
        "age-related macular degeneration": "drusen and pigment changes at the macula",
        "media haze": "a blurred, veiled view of the fundus",
        "media opacity": "a blurred, veiled view of the fundus",
        "cataract": "a blurred, veiled view of the fundus",
        "drusen": "small yellow deposits",
        "myopia": "a tilted disc with a pale crescent",
        "pathological myopia": "a pale crescent at the disc, thinned retina",
        "branch retinal vein occlusion": "flame hemorrhages along one vein",
        "central retinal vein occlusion": "hemorrhages in all quadrants, winding veins",
        "tessellation": "choroidal vessels showing through",
        "laser scars": "rows of pale, pigmented spots",
        "laser spots or scars": "rows of pale, pigmented spots",
        "central serous retinopathy": "a blister of fluid at the macula",
        "optic disc cupping": "a wide, pale cup in the disc",
        "glaucoma, suspected or manifest": "a wide, pale cup in the disc",
        "optic disc pallor": "a pale disc",
        "optic disc edema": "a swollen disc with blurred margins",
        "retinitis": "inflamed, pale patches of retina",
        "chorioretinitis": "inflamed patches of choroid and retina, scarred at the rim",
        "retinal pigment epithelium changes": "mottled pigment",
        "epiretinal membrane": "a glistening membrane with traction lines",
        "macular hole": "a round, dark hole at the fovea",
    }
)

GLOSSARIES = MappingProxyType({"rfmid": RFMID, "odir": ODIR, "none": MappingProxyType({})})


def disease_names(codes: Sequence[str], glossary: str, folder: Path) -> list[str]:
    """Return a display name for each code.

    Parameters
    ----------
    codes : sequence of str
        Every class column of the data set.
    glossary : str
        ``"rfmid"``, ``"odir"``, ``"none"``, the path of a file (a JSON object
        ``{"code": "name"}``, or a CSV with a header and the columns code, name), or ``"auto"``:
        ``glossary.json`` or ``glossary.csv`` in the data folder; else the built-in glossary that
        knows every code; where none or more than one does, the codes themselves.
    folder : Path
        The data folder.

    Raises
    ------
    RecipeError
        If the file is missing or holds something else.
    """
    names = _glossary_for(codes, glossary, folder)
    return [names.get(code, code) for code in codes]


def _glossary_for(codes: Sequence[str], glossary: str, folder: Path) -> Mapping[str, str]:
    if glossary in GLOSSARIES:
        return GLOSSARIES[glossary]
    if glossary != "auto":
        return read_glossary(Path(glossary))
    for file in (folder / "glossary.json", folder / "glossary.csv"):
        if file.is_file():
            return read_glossary(file)
    knowing = [names for names in GLOSSARIES.values() if set(codes) <= set(names)]
    return knowing[0] if len(knowing) == 1 else {}


def read_glossary(path: Path) -> dict[str, str]:
    """Read code -> name from a JSON object or a CSV of two columns."""
    if not path.is_file():
        raise RecipeError(
            f"glossary {str(path)!r} is neither one of auto, {', '.join(GLOSSARIES)} nor a file"
        )
    try:
        if path.suffix.lower() == ".json":
            entries: Any = json.loads(path.read_text(encoding="utf-8-sig"))
            if not isinstance(entries, dict):
                raise RecipeError(f"{path} must hold a JSON object of code: name")
            pairs: list[tuple[Any, ...]] = list(entries.items())
        else:
            with path.open(newline="", encoding="utf-8-sig") as file:
                pairs = [tuple(row) for row in csv.reader(file) if row][1:]
    except (json.JSONDecodeError, UnicodeDecodeError, csv.Error) as error:
        raise RecipeError(f"cannot read the glossary {path}: {error}") from error
    names: dict[str, str] = {}
    for pair in pairs:
        if len(pair) != 2 or not all(isinstance(text, str) and text.strip() for text in pair):
            raise RecipeError(f"{path}: expected a code and its name, got {pair}")
        code, name = (text.strip() for text in pair)
        if names.get(code, name) != name:
            raise RecipeError(f"{path}: {code!r} has two names, {names[code]!r} and {name!r}")
        names[code] = name
    return names
