"""The report of a run, its figures included."""
