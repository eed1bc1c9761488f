"""Cells and tables for the terminal and for Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence


def counted(n: int, noun: str) -> str:
    """Write a count with its noun.

    Examples
    --------
    >>> counted(1, "image"), counted(1920, "image"), counted(2, "class")
    ('1 image', '1,920 images', '2 classes')
    """
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{n:,} {noun if n == 1 else plural}"


def number(value: float | None, digits: int = 3) -> str:
    """Write a number; what is undefined (None or NaN) is a dash.

    Examples
    --------
    >>> number(0.12345), number(None), number(float("inf"))
    ('0.123', '-', 'inf')
    """
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def with_interval(
    value: float | None, interval: Sequence[float | None] | None, digits: int = 3
) -> str:
    """Write a number with its interval, where there is one.

    Examples
    --------
    >>> with_interval(0.5, (0.4, 0.61)), with_interval(0.5, (None, None)), with_interval(None, None)
    ('0.500 [0.400, 0.610]', '0.500', '-')
    """
    text = number(value, digits)
    ends = [number(end, digits) for end in interval or ()]
    return text if text == "-" or not ends or "-" in ends else f"{text} [{', '.join(ends)}]"


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Align columns with spaces, the first to the left and the others to the right.

    Examples
    --------
    >>> print(text_table(["class", "n"], [["DR", "124"], ["RPEC", "4"]]))
    class    n
    DR     124
    RPEC     4
    """
    lines = [header, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, n_left: int = 1) -> str:
    r"""Write a Markdown table whose first `n_left` columns are aligned to the left.

    Examples
    --------
    >>> print(markdown_table(["class", "n"], [["a|b", "4"]]))
    | class | n |
    |:---|---:|
    | a\|b | 4 |
    """
    rule = "|" + ":---|" * n_left + "---:|" * (len(header) - n_left)
    lines = [header, *rows]
    cells = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
    return "\n".join([cells[0], rule, *cells[1:]])
