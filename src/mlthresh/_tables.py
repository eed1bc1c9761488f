"""Plain-text and Markdown tables, and reports that are made of one."""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mlthresh._files import strict_json, write_text_atomically
from mlthresh._intervals import Float64Array

__all__ = ["Section", "TabledReport", "markdown_table", "rate_cell", "text_table"]

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


def text_table(header: Row, rows: Sequence[Row], *, n_left: int = 1) -> str:
    """Align the columns with spaces: the first `n_left` to the left, the others to the right.

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
            cell.ljust(width) if column < n_left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def markdown_table(header: Row, rows: Sequence[Row], *, n_left: int = 1) -> str:
    r"""Write a pipe table, the first `n_left` columns aligned to the left, the others to the right.

    Examples
    --------
    >>> print(markdown_table(["class", "positives"], [["a|b", "124"]]))
    | class | positives |
    |:---|---:|
    | a\|b | 124 |
    """
    alignment = "|" + ":---|" * n_left + "---:|" * (len(header) - n_left)
    lines = [
        "| " + " | ".join(cell.strip().replace("|", "\\|") for cell in row) + " |" for row in rows
    ]
    return "\n".join(["| " + " | ".join(header) + " |", alignment, *lines])


class Section(NamedTuple):
    """A title (or ""), a table with its first `n_left` columns aligned to the left, and notes."""

    title: str
    header: Row
    rows: Sequence[Row]
    notes: Sequence[str] = ()
    n_left: int = 1

    def as_text(self) -> str:
        """Return it with the columns aligned by spaces."""
        table = text_table(self.header, self.rows, n_left=self.n_left)
        return "\n\n".join(filter(None, [self.title, table, "\n".join(self.notes)]))

    def as_markdown(self) -> str:
        """Return it as Markdown, the notes as a list."""
        table = markdown_table(self.header, self.rows, n_left=self.n_left)
        notes = "\n".join(f"- {note}" for note in self.notes)
        return "\n\n".join(filter(None, [self.title, table, notes]))


class TabledReport(ABC):
    """A report that prints as titles, tables and notes, and is saved as JSON."""

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
        """Return titles, tables with the most frequent class first, and notes."""
        return "\n\n".join(section.as_markdown() for section in self._sections()) + "\n"

    def __str__(self) -> str:
        return "\n\n".join(section.as_text() for section in self._sections())

    __repr__ = __str__  # of dataclasses, those with repr=False
    _repr_markdown_ = to_markdown  # notebooks show the tables

    @abstractmethod
    def _sections(self) -> list[Section]:
        """Return what is printed."""
