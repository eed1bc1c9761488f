"""``python -m benchmarks [NAME ...]``: print the tables of these benchmarks, or of all.

``losses --device cuda --json FILE`` times the losses on a GPU and keeps the figures.
"""

from __future__ import annotations

import argparse
from importlib import import_module

NAMES = ("thresholds", "accumulator", "scaling", "losses", "samplers", "splits", "images")

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(NAMES)}")
    parser.add_argument("--device", default="cpu", help="where the losses run")
    parser.add_argument("--json", metavar="FILE", help="also write the figures of the losses")
    arguments = parser.parse_args()
    for name in arguments.names or NAMES:
        if name not in NAMES:
            parser.error(f"unknown benchmark {name!r}; there are {', '.join(NAMES)}")
        given = (arguments.device, arguments.json) if name == "losses" else ()
        for text in import_module(f"benchmarks.bench_{name}").run(*given):
            print(f"{text}\n", flush=True)
