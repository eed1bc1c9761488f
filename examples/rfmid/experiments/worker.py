"""``python -m examples.rfmid.experiments.worker RUN/plan.json``: train one run of an experiment."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from examples.rfmid.errors import RecipeError
from examples.rfmid.experiments.pool import Job, train_or_resume
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.settings.config_file import load_config
from mlthresh import MlthreshError


def _end_with_parent() -> None:
    """End when the process that started this one does, however it ends: then its pipe closes."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


def main(plan: Path) -> int:
    """Train the run in whose folder the plan lies; return the exit status."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        train_or_resume(Job(plan.parent.name, RunFolder(plan.parent), load_config(plan)))
    except (RecipeError, MlthreshError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
