"""Who gets the weights, groups and parameters that a scikit-learn `fit` is given."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from sklearn import get_config
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.validation import has_fit_parameter

from mlthresh.exceptions import MlthreshWarning

__all__ = ["routed", "router"]


def router(owner: Any, splitter: Any) -> MetadataRouter:
    """Return how `owner` passes the metadata of its `fit` on to its `estimator` and a splitter."""
    to_fit = MethodMapping().add(caller="fit", callee="fit")
    to_split = MethodMapping().add(caller="fit", callee="split")
    return (
        MetadataRouter(owner=owner)
        .add_self_request(owner)
        .add(estimator=owner.estimator, method_mapping=to_fit)
        .add(splitter=splitter, method_mapping=to_split)
    )


def routed(
    owner: Any, sample_weight: Any, groups: Any, fit_params: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arguments of the `fit` of the owner's estimator and of the splitter's `split`."""
    given = {"sample_weight": sample_weight, "groups": groups}
    given = {name: value for name, value in given.items() if value is not None}
    if get_config()["enable_metadata_routing"]:
        passed_on = process_routing(owner, "fit", **given, **fit_params)
        return dict(passed_on["estimator"]["fit"]), dict(passed_on["splitter"]["split"])
    groups_alone = {"groups": groups} if groups is not None else {}
    if sample_weight is None:
        return dict(fit_params), groups_alone
    if has_fit_parameter(owner.estimator, "sample_weight"):
        return {**fit_params, "sample_weight": sample_weight}, groups_alone
    warnings.warn(
        f"{type(owner.estimator).__name__}.fit does not take sample_weight, so only the "
        "thresholds are weighted; scikit-learn's metadata routing can reach inside it",
        MlthreshWarning,
        stacklevel=3,
    )
    return dict(fit_params), groups_alone
