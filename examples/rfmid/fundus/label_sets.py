"""Which diseases appear together, and how often: RFMiD's training labels as a table.

The counts are those of the 1,920 official training rows restricted to the sixteen diseases
with at least twenty examples. Source: Pachade et al., "Retinal Fundus Multi-Disease Image
Dataset (RFMiD)", Data 2021, 6(2):14.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from examples.rfmid.data.glossary import RFMID
from mlthresh.exceptions import InputError

LabelSet = tuple[str, ...]

# Most frequent first.
CODES: LabelSet = (
    *("DR", "MH", "ODC", "TSLN", "DN", "MYA", "ARMD", "BRVO"),
    *("ODP", "ODE", "LS", "RS", "CSR", "CRS", "CRVO", "RPEC"),
)
DISEASES: dict[str, str] = {code: RFMID[code] for code in CODES}

# Number of photographs: the label sets that so many photographs show, "-" for no disease.
_TABLE = """
476: -
251: DR
188: MH
130: ODC
96: DN
56: ODE
55: BRVO
47: MYA
40: ARMD
39: RS
33: CSR
32: MH TSLN
31: DR LS
29: MH ODC, TSLN
26: CRVO
25: ODP, TSLN ARMD
24: DR TSLN
23: ODC TSLN
21: CRS
18: DR MH
17: DR ODC
16: MYA ARMD
15: RPEC
14: ODC MYA
13: MH ODC TSLN
9: TSLN DN
8: DR ODP
6: MH DN, ODC DN, MH MYA, ODC BRVO
5: ODC CRS, DR ODC LS, DR ODC TSLN
4: ODC MYA ARMD, TSLN ODP, TSLN BRVO, DR ODP LS, MH ODP
3: MH ODC MYA, DN ODP
2: ODC CSR, MYA ODP, DR DN, ODC TSLN ODP, MH CRS, MH MYA ARMD, ODC TSLN ARMD, DR MYA, DR MH ODC,
   TSLN DN ARMD, ODC RPEC, ODC ARMD, ODP RPEC, ODC TSLN DN, ODC DN RPEC, DN ARMD, ODC RS, LS
1: MH ARMD, MH BRVO, DR MH CRVO, DR ODC MYA, DR BRVO, DR MH DN, MH ODC TSLN ARMD, ODP CRVO,
   ODE CRS, MH TSLN DN, MYA ARMD BRVO, TSLN DN ODP, MYA ARMD ODP, DN LS, MYA ODP LS, MH ODC CRS,
   RS CSR, DN BRVO, ODP CSR, DN ODP LS, MH ODC MYA BRVO, DN RPEC, MH TSLN ARMD, TSLN DN ODP LS,
   DR TSLN LS, ODE RS, MH TSLN ODP, BRVO ODP, DR TSLN ODP, BRVO CRS, MH TSLN BRVO, DR MH TSLN,
   ODP CRS
"""


def _read_table(table: str) -> Iterator[tuple[LabelSet, int]]:
    for entry in table.replace("\n   ", " ").strip().splitlines():
        count, _, label_sets = entry.partition(":")
        for label_set in label_sets.split(","):
            codes = label_set.split()
            yield (() if codes == ["-"] else tuple(codes)), int(count)


def _rarest_first(label_set: LabelSet) -> list[int]:
    return sorted((CODES.index(code) for code in label_set), reverse=True)


# Ordered by the rarest disease, then the next rarest: neighbours are alike.
LABEL_SETS: dict[LabelSet, int] = dict(
    sorted(_read_table(_TABLE), key=lambda entry: _rarest_first(entry[0]))
)


def deal_label_sets(n: int, rng: np.random.Generator) -> list[LabelSet]:
    """Deal the label sets of ``n`` photographs in RFMiD's proportions, in random order.

    Systematic rounding: with cumulative quotas ``Q_i`` and one uniform offset ``u``, set ``i``
    is dealt ``floor(Q_i + u) - floor(Q_{i-1} + u)`` times. Each count is the quota rounded up
    or down, right on average, and exact where ``n`` is a multiple of 1,920. As neighbours in
    the table share their rarest disease, rare diseases keep their share too.

    Parameters
    ----------
    n : int
        Number of photographs, at least 0.
    rng : numpy.random.Generator
        Source of the offset and of the order.

    Returns
    -------
    list of tuple of str
        ``n`` label sets; the empty tuple is a healthy eye.

    Examples
    --------
    >>> label_sets = deal_label_sets(1920, np.random.default_rng(0))
    >>> sum(not codes for codes in label_sets), sum("RPEC" in codes for codes in label_sets)
    (476, 22)
    """
    if n < 0:
        raise InputError(f"n must be at least 0, got {n}")
    counts = np.fromiter(LABEL_SETS.values(), dtype=np.int64)
    quotas = np.concatenate([[0], np.cumsum(counts)]) * n / counts.sum()
    dealt = np.diff(np.floor(quotas + rng.random())).astype(np.int64)
    order = rng.permutation(np.repeat(np.arange(len(counts)), dealt))
    label_sets = list(LABEL_SETS)
    return [label_sets[index] for index in order]
