"""Plain-text and Markdown tables, and reports that are made of one."""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from mlthresh._files import strict_json, write_text_atomically
from mlthresh._intervals import Float64Array

__all__ = ["TabledReport", "markdown_table", "rate_cell", "text_table"]

Row = Sequence[str]


def rate_cell(value: float, interval: Float64Array | Sequence[float] | None = None) -> str:
    """Write a rate and its interval with two decimals; what is undefined is a dash.

    The interval's ends are rounded outwards, so that what is read covers what was computed.

    Examples
    --------
    >>> rate_cell(0.625, (0.449, 0.771)), rate_cell(float("nan")), rate_cell(0.5)
    ('0.62 [0.44, 0.78]', '-', '0.50')
    """
    if np.isnan(value):
        return "-"
    if interval is None or np.isnan(interval).any():
        return f"{value:.2f}"
    # The inner rounding keeps 0.29 * 100 = 28.999... from becoming 28.
    lower, upper = (round(100 * float(end), 9) for end in interval)
    return f"{value:.2f} [{math.floor(lower) / 100:.2f}, {math.ceil(upper) / 100:.2f}]"


def text_table(header: Row, rows: Sequence[Row]) -> str:
    """Align the columns with spaces: the first to the left, the others to the right.

    Examples
    --------
    >>> print(text_table(["class", "positives"], [["DR", "124"], ["RPEC", "4"]]))
    class  positives
    DR           124
    RPEC           4
    """
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        ).rstrip()
        for line in lines
    )


def markdown_table(header: Row, rows: Sequence[Row]) -> str:
    r"""Write a pipe table, the first column aligned to the left and the others to the right.

    Examples
    --------
    >>> print(markdown_table(["class", "positives"], [["a|b", "124"]]))
    | class | positives |
    |:---|---:|
    | a\|b | 124 |
    """
    alignment = "|:---|" + "---:|" * (len(header) - 1)
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(["| " + " | ".join(header) + " |", alignment, *lines])


class TabledReport(ABC):
    """A report that prints as a title, a table and notes, and is saved as JSON."""

    _header: ClassVar[Row]

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values."""

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return `to_dict` as strict JSON, and write it to a file if a path is given.

        NaN becomes null and infinity "inf". A reader of the file never sees half of it.
        """
        text = strict_json(self.to_dict())
        if path is not None:
            write_text_atomically(path, text)
        return text

    def to_markdown(self) -> str:
        """Return a title, a table with the most frequent class first, and notes."""
        notes = "\n".join(f"- {note}" for note in self._notes())
        return f"{self._title()}\n\n{markdown_table(self._header, self._rows())}\n\n{notes}\n"

    def __str__(self) -> str:
        table = text_table(self._header, self._rows())
        return "\n".join([self._title(), "", table, "", *self._notes()])

    @abstractmethod
    def _title(self) -> str:
        """Say in a line what was looked at."""

    @abstractmethod
    def _rows(self) -> list[list[str]]:
        """Return the cells below the header."""

    @abstractmethod
    def _notes(self) -> list[str]:
        """Say what the figures mean."""
