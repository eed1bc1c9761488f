"""The errors and the warning that this package raises."""

from __future__ import annotations

__all__ = [
    "FileFormatError",
    "InfeasibleError",
    "InputError",
    "MlthreshError",
    "MlthreshWarning",
]


class MlthreshError(Exception):
    """Base of every error raised on purpose by this package."""


class InputError(MlthreshError, ValueError):
    """An argument or array is not what the function needs."""


class InfeasibleError(MlthreshError, ValueError):
    """No threshold satisfies the constraints of a class."""


class FileFormatError(MlthreshError, ValueError):
    """A file is damaged, of another version, or belongs to another model."""


class MlthreshWarning(UserWarning):
    """Something is allowed but probably not what was meant."""
