"""The figures of a report, of a run's record."""


class NothingToShow(Exception):  # noqa: N818  # no error: the report says why the figure is absent
    """A figure that this run has no content for; the message says why."""
