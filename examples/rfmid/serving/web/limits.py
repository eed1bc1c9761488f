"""What the page takes, and how much at once."""

from __future__ import annotations

from dataclasses import dataclass

from examples.rfmid.errors import RecipeError

_MOST_MEGAPIXELS = 178  # above it Pillow refuses, and `predict` with it


@dataclass(frozen=True)
class Limits:
    """Bounds of one photograph, and of all that are worked on together.

    The server holds at most ``(workers + max_waiting) * max_megabytes`` of photographs, and each
    worker decodes one of ``max_megapixels`` at a time.
    """

    max_megabytes: float = 20.0
    """Largest file, in units of 1,000,000 bytes."""
    max_megapixels: float = 50.0
    """Largest photograph, width times height in units of 1,000,000 pixels; the size is read before
    it is decoded."""
    max_files: int = 50
    """How many files the page takes at once; it sends them one by one."""
    max_waiting: int = 16
    """How many photographs may wait; who comes then is told that the server is busy."""
    workers: int = 1
    """Processes that each hold the model, and share the cores."""
    max_seconds: float = 60.0
    """How long a photograph may take to arrive, and again to be worked on."""

    def __post_init__(self) -> None:
        for name in ("max_megabytes", "max_megapixels", "max_seconds"):
            value = getattr(self, name)
            if not 0 < value < float("inf"):
                raise RecipeError(f"{name} must be above 0, got {value}")
        if self.max_megapixels > _MOST_MEGAPIXELS:
            raise RecipeError(
                f"max_megapixels must be at most {_MOST_MEGAPIXELS}, got {self.max_megapixels}"
            )
        for name, least in (("max_files", 1), ("max_waiting", 0), ("workers", 1)):
            value = getattr(self, name)
            if value < least:
                raise RecipeError(f"{name} must be at least {least}, got {value}")

    @property
    def max_bytes(self) -> int:
        """Size of a file."""
        return int(self.max_megabytes * 1e6)

    @property
    def max_pixels(self) -> int:
        """Width times height."""
        return int(self.max_megapixels * 1e6)

    @property
    def at_once(self) -> int:
        """How many photographs are held together."""
        return self.workers + self.max_waiting
