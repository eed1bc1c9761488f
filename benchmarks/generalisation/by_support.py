"""Tables by a class's number of validation positives."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

BINS = ((1, 2), (3, 5), (6, 10), (11, 20), (21, 50), (51, 10**9))


def table(
    title: str,
    n_positive: npt.NDArray[np.integer],
    columns: Mapping[str, npt.NDArray[np.floating]],
    cell: Callable[[npt.NDArray[np.floating]], str],
) -> str:
    """Return a Markdown table: a row a bin of positives, then all with three or more.

    Parameters
    ----------
    n_positive : array of shape (n_trials, n_classes)
    columns : mapping from str to array of shape (n_trials, n_classes)
        NaN is left out.
    cell : callable
        From a column's numbers to what is printed.
    """
    lines = [
        f"**{title}**",
        "",
        f"| validation positives | classes | {' | '.join(columns)} |",
        "|---|" + "---:|" * (len(columns) + 1),
    ]
    for low, high in (*BINS, (3, BINS[-1][1])):
        chosen = (low <= n_positive) & (n_positive <= high)
        if not chosen.any():
            continue
        label = f"{low} to {high}" if high < BINS[-1][1] else f"{low} or more"
        cells = [cell(v[chosen][~np.isnan(v[chosen])]) for v in columns.values()]
        lines.append(f"| {label} | {chosen.sum()} | {' | '.join(cells)} |")
    return "\n".join(lines)
