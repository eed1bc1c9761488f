"""Who may use a run folder: a new run, a resumed one, or one that overwrites."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from examples.rfmid.errors import RecipeError
from examples.rfmid.locks import locked
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.settings import Config
from examples.rfmid.settings.config_file import differences, load_config, save_config
from mlthresh import FileFormatError, load_model

# Where the data lies may change, for what it is has a fingerprint in the checkpoint.
_MAY_CHANGE = (
    *("runtime.", "data.folder", "data.train_", "data.val_", "data.test_"),
    "data.extra_data",
)


def check_claim(folder: RunFolder, config: Config, *, resume: bool, overwrite: bool) -> None:
    """Refuse a run folder that this run must not write to; nothing is changed yet."""
    if resume and overwrite:
        raise RecipeError("--resume and --overwrite exclude each other")
    if not folder.config.is_file():
        if resume:
            raise RecipeError(f"{folder.path} holds no run to resume")
        foreign = [path.name for path in folder.results() if path.exists()]
        if foreign:
            raise RecipeError(
                f"{folder.path} holds no run, but files that a run would replace: "
                f"{', '.join(foreign)}; choose another folder"
            )
        return
    if not (resume or overwrite):
        raise RecipeError(
            f"{folder.path} already holds a run; --resume continues it, --overwrite deletes it"
        )
    stored = load_config(folder.config)  # raises where config.json is another program's
    if overwrite:
        return
    changed = {
        name: values
        for name, values in differences(stored, config).items()
        if not name.startswith(_MAY_CHANGE)
    }
    if changed:
        listed = "; ".join(f"{name}: {old} -> {new}" for name, (old, new) in changed.items())
        raise RecipeError(
            f"the run in {folder.path} was started with other settings ({listed}); "
            "resume without them, or start another run"
        )


@contextmanager
def claimed(folder: RunFolder) -> Iterator[None]:
    """Keep other processes out of a run folder, and clear what a killed one left unfinished.

    Raises
    ------
    RecipeError
        If another process is training there.
    """
    folder.create()
    with locked(folder.lock, refusal=f"another process is training in {folder.path}"):
        folder.remove_leftovers()
        yield


def has_whole_model(folder: RunFolder, network: nn.Module) -> bool:
    """Tell whether training has ended, with a saved model whose files belong together."""
    if not folder.manifest.is_file():
        return False
    try:
        load_model(folder.path, network)
    except (FileFormatError, FileNotFoundError):  # cut short while its thresholds were replaced
        return False
    return True


def claim_folder(folder: RunFolder, config: Config, *, overwrite: bool) -> None:
    """Write ``config.json`` into the run folder; delete the run there first if so asked."""
    if overwrite:
        for path in folder.results():  # other files in the folder stay
            path.unlink(missing_ok=True)
    save_config(folder.config, config)
