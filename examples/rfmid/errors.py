"""The error that a user of the recipe can put right."""

from __future__ import annotations


class RecipeError(Exception):
    """Data, a configuration, weights or a run folder aren't what the recipe needs.

    The command line prints the message alone, without a traceback, and exits with status 2. When a
    function raises it is said by its messages, below its docstring.
    """
