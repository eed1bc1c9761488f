"""Change the threshold and loss mathematics in small ways, and list the changes no test notices.

``python -m benchmarks.mutation [GROUP | MODULE ...] [--sample N]`` takes all groups and mutants by
default, which is a matter of hours; N takes that many of each module's, the same for a seed.
`settings.toml` beside this file has the groups, and the mutants that are known to change nothing.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.mutation.mutants import Mutant, mutants_of
from benchmarks.mutation.runner import Trial

_HERE = Path(__file__).parent
_SOURCE = _HERE.parents[1] / "src/mlthresh"
_OUTCOMES = ("killed", "timeout", "survived", "equivalent")


def main() -> int:
    """Run, and return 1 if a mutant survived without a reason."""
    configured = tomllib.loads((_HERE / "settings.toml").read_text(encoding="utf-8"))
    groups = configured["groups"]
    known = configured["equivalent"]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutation")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(groups)}")
    parser.add_argument("--sample", type=int, metavar="N", help="mutants a module, not all")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--match", default="", help="only mutants whose change has this text")
    parser.add_argument("--reach", metavar="FOLDER", help="keep which tests reach which line here")
    parser.add_argument("--verbose", action="store_true", help="say which test kills which mutant")
    arguments = parser.parse_args()
    modules = {module for group in groups.values() for module in group["modules"]}
    wanted = set(arguments.names) or set(groups)
    if unknown := wanted - modules - set(groups):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")

    tally: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for name, group in groups.items():
            chosen: list[Mutant] = []
            for module in group["modules"]:
                if not wanted & {name, module}:
                    continue
                made = list(mutants_of(module, _SOURCE / f"{module}.py"))
                matching = [m for m in made if arguments.match in m.change]
                size = min(len(matching), arguments.sample or len(matching))
                sample = random.Random(f"{arguments.seed} {module}").sample(matching, size)  # noqa: S311
                sample.sort(key=lambda mutant: mutant.line)
                tried = [m for m in sample if not any(_is_meant(m, entry) for entry in known)]
                chosen += tried
                tally[module] = Counter(made=len(made), equivalent=len(sample) - len(tried))
            if not chosen:
                continue

            def report(mutant: Mutant, said: str, n_tests: int) -> None:
                outcome = said.split()[0]
                tally[mutant.module][outcome] += 1
                if outcome == "survived" or arguments.verbose:
                    where = f"{mutant.module}.py:{mutant.line} {mutant.function}"
                    print(f"{where}: {said} ({n_tests} tests)\n    {mutant.change}", flush=True)

            folder = Path(arguments.reach or temporary)
            trial = Trial(chosen, report, folder / f"{name}.json")
            options = ["-s", "-qq", "-p", "no:cacheprovider", "-p", "no:xdist"]
            status = pytest.main([*options, *group["tests"]], plugins=[trial])
            if status:
                return int(status)
    _print_table(tally)
    return int(any(counts["survived"] for counts in tally.values()))


def _is_meant(mutant: Mutant, entry: dict[str, str]) -> bool:
    described = {"module": mutant.module, "function": mutant.function, "change": mutant.change}
    return all(described[key] == value for key, value in entry.items() if key != "why")


def _print_table(tally: dict[str, Counter[str]]) -> None:
    print("\n| module | mutants | tried | " + " | ".join(_OUTCOMES) + " |")
    print("|---|--:|--:|" + "--:|" * len(_OUTCOMES))
    total = sum(tally.values(), Counter[str]())
    for module, counts in [*tally.items(), ("all", total)]:
        figures = [counts["made"], sum(counts[o] for o in _OUTCOMES)]
        cells = " | ".join(str(n) for n in (*figures, *(counts[o] for o in _OUTCOMES)))
        print(f"| {module} | {cells} |")


if __name__ == "__main__":
    raise SystemExit(main())
