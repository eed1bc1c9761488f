"""``python -m benchmarks [NAME ...]``: print the tables of these benchmarks, or of all."""

from __future__ import annotations

import sys
from importlib import import_module

NAMES = ("thresholds", "losses", "samplers", "splits", "images")

if __name__ == "__main__":
    chosen = sys.argv[1:] or NAMES
    unknown = [name for name in chosen if name not in NAMES]
    if unknown:
        sys.exit(f"unknown benchmark {unknown[0]!r}; there are {', '.join(NAMES)}")
    for name in chosen:
        for text in import_module(f"benchmarks.bench_{name}").run():
            print(f"{text}\n", flush=True)
