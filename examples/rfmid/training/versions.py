"""What a model was trained with."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import mlthresh

_PACKAGES = ("numpy", "pillow", "safetensors", "scikit-learn", "torch", "torchvision")


def installed_versions() -> dict[str, str]:
    """Return the versions of Python, this library and the packages that figures depend on."""
    found = {"python": platform.python_version(), "mlthresh": mlthresh.__version__}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found
