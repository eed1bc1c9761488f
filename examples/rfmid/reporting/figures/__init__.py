"""The figures of a report, one file per kind: arrays in, Matplotlib figure out."""

__all__ = ["NothingToShow"]


class NothingToShow(Exception):  # noqa: N818  # no error: the report says why the figure is absent
    """A figure that this run has no content for; the message says why."""
