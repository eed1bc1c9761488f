"""One self-contained HTML page on which thresholds are moved and their figures seen."""

from mlthresh.explorer.page import write_explorer

__all__ = ["write_explorer"]
