"""``mlthresh tune | apply | report | explore | stats`` on files of labels and scores."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mlthresh import __version__
from mlthresh._arrays import shown_names
from mlthresh._files import write_text_atomically
from mlthresh._score_files import Table, array_names, read_pair, read_table
from mlthresh._tables import TabledReport
from mlthresh.exceptions import InputError, MlthreshError
from mlthresh.explorer import write_explorer
from mlthresh.imbalance import imbalance_report
from mlthresh.metrics import multilabel_report
from mlthresh.objectives import cost, fbeta
from mlthresh.options import CHOICES
from mlthresh.threshold_set import ThresholdSet
from mlthresh.thresholds import find_optimal_thresholds

__all__ = ["main"]

_FILES = """\
Files. An .npz holds y_true and y_score, and may hold class_names and ids. A .csv or .parquet
table has class names in its header and may have an id column; labels and scores are then two
files, matched by id, or by position where one has no ids. An empty label is a missing one.
"""
_RUN_SCORES = "predictions_val.npz"  # in the folder of a training run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return 0, or 2 after printing what was wrong."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (MlthreshError, OSError) as error:
        print(f"mlthresh {options.command}: {error}", file=sys.stderr)
        return 2
    return 0


def _tune(options: argparse.Namespace) -> None:
    columns = [name for name in (options.groups, options.weight) if name]
    labels, scores = read_pair(
        options.scores, options.labels, id_column=options.id, other_columns=columns
    )
    search: dict[str, Any] = {
        name: getattr(options, name)
        for name in (
            *("min_recall", "min_precision", "min_specificity", "max_alarm_rate"),
            *("min_threshold", "max_threshold", "confidence", "joint", *CHOICES),
        )
    }
    weight = labels.extra[options.weight].astype(np.float64) if options.weight else None
    found = find_optimal_thresholds(
        labels.values,
        scores.values,
        sample_weight=weight,
        groups=_patients(labels, options.groups),
        class_names=scores.class_names,
        objective=_objective(options),
        **search,
    )
    found.save(options.output)
    print(f"{found}\n\n{options.output}")


def _patients(labels: Table, column: str | None) -> Any:
    if not column:
        return None
    patients = labels.extra[column]
    blank = np.flatnonzero(np.char.strip(patients.astype(str)) == "")
    if len(blank):
        raise InputError(f"{labels.path}: {len(blank)} rows have no {column!r} to group them by")
    return patients


def _objective(options: argparse.Namespace) -> Any:
    if options.beta is not None:
        return fbeta(options.beta)
    if options.cost is not None:
        return cost(miss=options.cost[0], false_alarm=options.cost[1])
    return options.objective


def _apply(options: argparse.Namespace) -> None:
    thresholds = ThresholdSet.load(options.thresholds)
    scores = read_table(options.scores, "y_score", id_column=options.id)
    decided = np.asarray(_for_columns(thresholds, scores.class_names).predict(scores.values))
    names = shown_names(scores.class_names, decided.shape[1])
    ids = scores.ids or tuple(map(str, range(len(decided))))
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["id", *names])
    writer.writerows([name, *row] for name, row in zip(ids, decided.astype(int), strict=True))
    _print_or_write(stream.getvalue(), options.output)


def _for_columns(thresholds: ThresholdSet, names: tuple[str, ...] | None) -> ThresholdSet:
    """Return the thresholds in the order of the file's columns."""
    both = names is not None and thresholds.class_names is not None
    return thresholds.select(names) if both and names is not None else thresholds


def _report(options: argparse.Namespace) -> None:
    columns = dict.fromkeys([*([options.groups] if options.groups else []), *options.subgroups])
    labels, scores = read_pair(
        options.scores, options.labels, id_column=options.id, other_columns=list(columns)
    )
    thresholds: Any = options.threshold
    if options.thresholds is not None:
        thresholds = _for_columns(ThresholdSet.load(options.thresholds), scores.class_names)
    report = multilabel_report(
        labels.values,
        scores.values,
        thresholds,
        class_names=scores.class_names,
        groups=_patients(labels, options.groups),
        subgroups={name: labels.extra[name] for name in options.subgroups},
    )
    _write_report(report, options)


def _explore(options: argparse.Namespace) -> None:
    file, thresholds, column = options.scores, options.thresholds, options.groups
    source = file.name
    if file.is_dir():
        source = f"{file.resolve().name}/{_RUN_SCORES}"
        kept = file / "thresholds.json"
        thresholds = kept if thresholds is None and kept.is_file() else thresholds
        file = file / _RUN_SCORES
        column = column or ("patients" if "patients" in array_names(file) else None)
    labels, scores = read_pair(
        file, options.labels, id_column=options.id, other_columns=[column] if column else []
    )
    given = None
    if thresholds is not None:
        given = _for_columns(ThresholdSet.load(thresholds), scores.class_names)
    write_explorer(
        options.output,
        labels.values,
        scores.values,
        thresholds=given,
        class_names=scores.class_names,
        groups=_patients(labels, column),
        min_recall=options.min_recall,
        confidence=options.confidence,
        score_scale=options.score_scale,
        source=source,
    )
    print(options.output)


def _stats(options: argparse.Namespace) -> None:
    labels = read_table(
        options.labels, "y_true", id_column=options.id, other_columns=options.ignore
    )
    _write_report(imbalance_report(labels.values, class_names=labels.class_names), options)


def _write_report(report: TabledReport, options: argparse.Namespace) -> None:
    if options.format == "json":
        _print_or_write(report.to_json() + "\n", options.output)
    else:
        text = report.to_markdown() if options.format == "markdown" else str(report)
        _print_or_write(text.rstrip("\n") + "\n", options.output)


def _print_or_write(text: str, path: Path | None) -> None:
    if path is None:
        print(text, end="")
    else:
        write_text_atomically(path, text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mlthresh",
        description="Decision thresholds for multi-label classifiers.",
        epilog=_FILES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"mlthresh {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    tune = commands.add_parser("tune", help="find one threshold a class")
    _add_pair(tune)
    tune.add_argument("-o", "--output", type=Path, default=Path("thresholds.json"))
    objective = tune.add_mutually_exclusive_group()
    objective.add_argument("--objective", default="f1", help="f1, jaccard, mcc, youden, ...")
    objective.add_argument("--beta", type=float, help="maximise F-beta")
    objective.add_argument("--cost", type=float, nargs=2, metavar=("MISS", "FALSE_ALARM"))
    for name in ("recall", "precision", "specificity"):
        tune.add_argument(f"--min-{name}", type=float, metavar="RATE")
    tune.add_argument("--max-alarm-rate", type=float, metavar="RATE")
    tune.add_argument("--min-threshold", type=float, metavar="SCORE")
    tune.add_argument("--max-threshold", type=float, metavar="SCORE")
    tune.add_argument("--confidence", type=float, help="floors hold on unseen data this surely")
    tune.add_argument("--joint", action="store_true", help="... for all classes at once")
    for name, choices in CHOICES.items():
        tune.add_argument(f"--{name.replace('_', '-')}", choices=choices, default=choices[0])
    tune.add_argument("--groups", metavar="COLUMN", help="patients, with --confidence")
    tune.add_argument("--weight", metavar="COLUMN", help="sample weights")
    tune.set_defaults(run=_tune)

    apply = commands.add_parser("apply", help="decide by saved thresholds, as 0 and 1 in a CSV")
    apply.add_argument("scores", type=Path)
    apply.add_argument("--thresholds", type=Path, required=True)
    apply.add_argument("--id", metavar="COLUMN")
    apply.add_argument("-o", "--output", type=Path, help="a file instead of standard output")
    apply.set_defaults(run=_apply)

    report = commands.add_parser("report", help="measure decisions, with intervals")
    _add_pair(report)
    which = report.add_mutually_exclusive_group(required=True)
    which.add_argument("--thresholds", type=Path, help="saved thresholds")
    which.add_argument("--threshold", type=float, help="one for every class")
    report.add_argument("--groups", metavar="COLUMN", help="patients: the units of intervals")
    report.add_argument(
        "--subgroups", metavar="COLUMN", nargs="+", default=[], help="report by their values too"
    )
    _add_written(report)
    report.set_defaults(run=_report)

    explore = commands.add_parser("explore", help="move thresholds on a page, and see figures")
    _add_pair(explore, scores=f"... or a run folder with {_RUN_SCORES} and thresholds.json")
    explore.add_argument("--thresholds", type=Path, help="saved thresholds, to start from")
    explore.add_argument("--groups", metavar="COLUMN", help="patients: the units of certificates")
    explore.add_argument("--min-recall", type=float, default=0.8, metavar="RATE")
    explore.add_argument("--confidence", type=float, default=0.95)
    explore.add_argument("--score-scale", choices=CHOICES["score_scale"])
    explore.add_argument("-o", "--output", type=Path, default=Path("explorer.html"))
    explore.set_defaults(run=_explore)

    stats = commands.add_parser("stats", help="describe the imbalance of labels")
    stats.add_argument("labels", type=Path)
    stats.add_argument("--id", metavar="COLUMN")
    stats.add_argument(
        "--ignore", metavar="COLUMN", nargs="*", default=[], help="columns that are no classes"
    )
    _add_written(stats)
    stats.set_defaults(run=_stats)
    return parser


def _add_pair(parser: argparse.ArgumentParser, *, scores: str = "") -> None:
    known = ".npz with labels too, or a table of scores"
    parser.add_argument("scores", type=Path, help=f"{known}{scores.replace('...', ',', 1)}")
    parser.add_argument("--labels", type=Path, help="a table of labels")
    parser.add_argument("--id", metavar="COLUMN", help="by default one named id, if any")


def _add_written(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=("text", "markdown", "json"), default="text")
    parser.add_argument("-o", "--output", type=Path, help="a file instead of standard output")


if __name__ == "__main__":
    sys.exit(main())
