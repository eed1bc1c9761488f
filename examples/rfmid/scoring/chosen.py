"""The thresholds that a run has chosen, and whose classes they are."""

from __future__ import annotations

from examples.rfmid.errors import RecipeError
from examples.rfmid.runfolder import RunFolder
from mlthresh import ThresholdSet


def load_thresholds(folder: RunFolder, class_names: tuple[str, ...]) -> ThresholdSet:
    """Read ``thresholds.json``, and check that it belongs to these classes in this order.

    Raises
    ------
    RecipeError
        If the file is missing or holds other classes; they are named.
    """
    path = folder.path / "thresholds.json"
    if not path.is_file():
        raise RecipeError(f"{path} doesn't exist: run tune first")
    thresholds = ThresholdSet.load(path)
    check_classes(thresholds, class_names, str(path), "the predictions")
    return thresholds


def check_classes(
    thresholds: ThresholdSet, class_names: tuple[str, ...], what: str, of_which: str
) -> None:
    """Raise a RecipeError that names the classes in which thresholds and `class_names` differ."""
    own = thresholds.class_names or ()
    if own == class_names:
        return
    extra = ", ".join(name for name in own if name not in class_names)
    absent = ", ".join(name for name in class_names if name not in own)
    raise RecipeError(
        f"{what} and {of_which} have other classes: {extra or 'none'} too many, "
        f"{absent or 'none'} missing{'' if extra or absent else ', and another order'}"
    )
