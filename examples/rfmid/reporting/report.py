"""Write ``report.md`` with its figures, ``MODEL_CARD.md``, and ``report.json`` for programs."""

from __future__ import annotations

from pathlib import Path

from examples.rfmid.files import write_json, write_whole
from examples.rfmid.reporting.drawing import draw_figures
from examples.rfmid.reporting.model_card import write_model_card
from examples.rfmid.reporting.record import load_record
from examples.rfmid.reporting.text import write_markdown


def report(run: Path) -> Path:
    """Draw the figures of an evaluated run, write its report and its model card.

    Figures that show photographs need the data folder where it was in training; without it they
    are left out, and the report says so.

    Parameters
    ----------
    run
        The run folder.

    Returns
    -------
    Path
        ``report.md`` in the run folder. The figures lie in ``figures/`` beside it, ``report.json``
        lists them with the headline, and ``MODEL_CARD.md`` describes the model.

    Raises
    ------
    RecipeError
        If a file is missing, damaged or older than what it was made from; the message names the
        step to run.
    """
    record = load_record(run)
    figures = draw_figures(record)
    path = run / "report.md"
    write_whole(path, write_markdown(record, figures))
    write_whole(run / "MODEL_CARD.md", write_model_card(record))
    write_json(
        run / "report.json",
        {
            "format": "rfmid.report",
            "version": 1,
            "generated_drawings": record.drawn,
            "selected_epoch": record.selected_epoch,
            "epochs": len(record.epochs),
            "in_use": record.evaluation["rules"][-1],
            "figures": [
                {"file": figure.file, "caption": figure.caption}
                for figure in figures.values()
                if figure.reason is None
            ],
            "left_out": [
                {"figure": figure.name, "reason": figure.reason}
                for figure in figures.values()
                if figure.reason is not None
            ],
        },
    )
    drawn = sum(figure.reason is None for figure in figures.values())
    print(f"{path}: {drawn} of {len(figures)} figures drawn")
    return path
