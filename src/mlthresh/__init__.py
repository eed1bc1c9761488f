"""Thresholds, losses, weights and samplers for multi-label learning on rare classes.

Public names are imported on first use, so ``import mlthresh`` loads neither torch nor
scikit-learn nor Matplotlib.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlthresh._imbalance_report import ImbalanceReport as ImbalanceReport
    from mlthresh.accumulator import ThresholdAccumulator as ThresholdAccumulator
    from mlthresh.bootstrapping import BootstrapResult as BootstrapResult
    from mlthresh.bootstrapping import bootstrap_thresholds as bootstrap_thresholds
    from mlthresh.certify import positives_needed as positives_needed
    from mlthresh.class_counts import ClassCounts as ClassCounts
    from mlthresh.class_counts import count_classes as count_classes
    from mlthresh.cross_fitting import CrossFitResult as CrossFitResult
    from mlthresh.cross_fitting import cross_fit_thresholds as cross_fit_thresholds
    from mlthresh.estimators import (
        MultilabelThresholdClassifier as MultilabelThresholdClassifier,
    )
    from mlthresh.exceptions import FileFormatError as FileFormatError
    from mlthresh.exceptions import InfeasibleError as InfeasibleError
    from mlthresh.exceptions import InputError as InputError
    from mlthresh.exceptions import MlthreshError as MlthreshError
    from mlthresh.exceptions import MlthreshWarning as MlthreshWarning
    from mlthresh.explain import LossExplanation as LossExplanation
    from mlthresh.explorer.page import write_explorer as write_explorer
    from mlthresh.export import export_onnx as export_onnx
    from mlthresh.export import export_program as export_program
    from mlthresh.fold_report import FoldReport as FoldReport
    from mlthresh.fold_report import describe_folds as describe_folds
    from mlthresh.imbalance import imbalance_report as imbalance_report
    from mlthresh.losses import FocalLossWithPosWeight as FocalLossWithPosWeight
    from mlthresh.losses import focal_loss_with_pos_weight as focal_loss_with_pos_weight
    from mlthresh.metrics import multilabel_report as multilabel_report
    from mlthresh.objectives import Objective as Objective
    from mlthresh.objectives import cost as cost
    from mlthresh.objectives import fbeta as fbeta
    from mlthresh.options import SearchOptions as SearchOptions
    from mlthresh.param_group_table import ParamGroupTable as ParamGroupTable
    from mlthresh.param_group_table import describe_param_groups as describe_param_groups
    from mlthresh.param_groups import discriminative_param_groups as discriminative_param_groups
    from mlthresh.plotting.co_occurrence import CoOccurrenceDisplay as CoOccurrenceDisplay
    from mlthresh.plotting.forest import ForestDisplay as ForestDisplay
    from mlthresh.plotting.imbalance import ImbalanceDisplay as ImbalanceDisplay
    from mlthresh.plotting.operating_point import OperatingPointDisplay as OperatingPointDisplay
    from mlthresh.plotting.threshold import ThresholdDisplay as ThresholdDisplay
    from mlthresh.posterior import FocalPosterior as FocalPosterior
    from mlthresh.posterior import focal_posterior as focal_posterior
    from mlthresh.posterior import focal_posterior_logits as focal_posterior_logits
    from mlthresh.rare_classes import drop_rare_classes as drop_rare_classes
    from mlthresh.report import MultilabelReport as MultilabelReport
    from mlthresh.row_weights import rarest_class_weights as rarest_class_weights
    from mlthresh.samplers import RarestClassSampler as RarestClassSampler
    from mlthresh.saving import load_model as load_model
    from mlthresh.saving import save_model as save_model
    from mlthresh.schedules import ratio_cosine_schedule as ratio_cosine_schedule
    from mlthresh.splits import Fold as Fold
    from mlthresh.splits import MultilabelStratifiedKFold as MultilabelStratifiedKFold
    from mlthresh.splits import multilabel_stratified_kfold as multilabel_stratified_kfold
    from mlthresh.splits import multilabel_train_test_split as multilabel_train_test_split
    from mlthresh.threshold_set import ThresholdSet as ThresholdSet
    from mlthresh.thresholded_model import ThresholdedModel as ThresholdedModel
    from mlthresh.thresholds import ThresholdSearch as ThresholdSearch
    from mlthresh.thresholds import find_optimal_thresholds as find_optimal_thresholds
    from mlthresh.verify import VerificationReport as VerificationReport
    from mlthresh.verify import verify_thresholds as verify_thresholds
    from mlthresh.weights import clamp_pos_weight as clamp_pos_weight
    from mlthresh.weights import compute_pos_weight as compute_pos_weight
    from mlthresh.weights import effective_number_weights as effective_number_weights

__version__ = "0.1.0"

# The module that defines each public name.
_MODULE_OF = {
    "BootstrapResult": "bootstrapping",
    "ClassCounts": "class_counts",
    "CoOccurrenceDisplay": "plotting.co_occurrence",
    "CrossFitResult": "cross_fitting",
    "FileFormatError": "exceptions",
    "FocalLossWithPosWeight": "losses",
    "FocalPosterior": "posterior",
    "Fold": "splits",
    "ForestDisplay": "plotting.forest",
    "ImbalanceDisplay": "plotting.imbalance",
    "ImbalanceReport": "_imbalance_report",
    "FoldReport": "fold_report",
    "InfeasibleError": "exceptions",
    "InputError": "exceptions",
    "LossExplanation": "explain",
    "MlthreshError": "exceptions",
    "MlthreshWarning": "exceptions",
    "MultilabelReport": "report",
    "MultilabelStratifiedKFold": "splits",
    "MultilabelThresholdClassifier": "estimators",
    "Objective": "objectives",
    "OperatingPointDisplay": "plotting.operating_point",
    "ParamGroupTable": "param_group_table",
    "RarestClassSampler": "samplers",
    "SearchOptions": "options",
    "ThresholdAccumulator": "accumulator",
    "ThresholdDisplay": "plotting.threshold",
    "ThresholdSearch": "thresholds",
    "ThresholdSet": "threshold_set",
    "ThresholdedModel": "thresholded_model",
    "VerificationReport": "verify",
    "bootstrap_thresholds": "bootstrapping",
    "clamp_pos_weight": "weights",
    "compute_pos_weight": "weights",
    "cost": "objectives",
    "count_classes": "class_counts",
    "cross_fit_thresholds": "cross_fitting",
    "describe_folds": "fold_report",
    "describe_param_groups": "param_group_table",
    "discriminative_param_groups": "param_groups",
    "drop_rare_classes": "rare_classes",
    "effective_number_weights": "weights",
    "export_onnx": "export",
    "export_program": "export",
    "fbeta": "objectives",
    "find_optimal_thresholds": "thresholds",
    "focal_loss_with_pos_weight": "losses",
    "focal_posterior": "posterior",
    "focal_posterior_logits": "posterior",
    "imbalance_report": "imbalance",
    "load_model": "saving",
    "multilabel_report": "metrics",
    "multilabel_stratified_kfold": "splits",
    "multilabel_train_test_split": "splits",
    "positives_needed": "certify",
    "rarest_class_weights": "row_weights",
    "ratio_cosine_schedule": "schedules",
    "save_model": "saving",
    "verify_thresholds": "verify",
    "write_explorer": "explorer.page",
}

__all__ = ["__version__", *sorted(_MODULE_OF)]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'mlthresh' has no attribute {name!r}")
    value = getattr(import_module(f"mlthresh.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
