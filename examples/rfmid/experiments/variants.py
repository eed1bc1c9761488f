"""The systems that an ablation compares: the deck's two, and others one change away from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from examples.rfmid.errors import RecipeError
from examples.rfmid.settings import Config, ThresholdConfig
from examples.rfmid.settings.config_file import config_to_dict, differences
from examples.rfmid.settings.presets import PRESETS

_Changes = Mapping[str, Any]

# The settings that tell the deck's two systems apart; the lengths are scaled to those of the base.
_DECK = (
    "data.min_count",
    "thresholds.strategy",
    "training.selection",
    "loss.gamma",
    "loss.alpha",
    "loss.max_pos_weight",
    "training.epochs",
    "training.patience",
)
_FIXED_BY_VARIANTS = (
    *("thresholds.strategy", "training.selection", "loss.gamma", "loss.alpha"),
    *("loss.max_pos_weight",),
    "loss.pos_weight",
    "loss.link",
    "optimizer.schedule",
    "optimizer.t_max",
    "training.sampler",
    "training.importance_weights",
    "training.keep_epoch_predictions",
    "training.seed",
)
_PLAIN = {"loss.gamma": 0.0, "loss.alpha": None}
_OURS = {
    "thresholds.strategy": "pooled",
    "training.selection": "macro_f1_cross_fitted",
    "loss.link": True,
}


@dataclass(frozen=True)
class Variant:
    """A system to train and score.

    Attributes
    ----------
    name
    description
        What it changes.
    start
        "before" or "after": the system of the deck that `changes` apply to, and that it is compared
        with.
    changes
        ``section.setting`` -> value.
    taken
        Settings that get the values they have in "after".
    """

    name: str
    description: str
    start: str
    changes: _Changes = field(default_factory=dict)
    taken: tuple[str, ...] = ()

    @property
    def base(self) -> str | None:
        """The variant it is compared with; that of "after" is "before"."""
        if self.name == self.start:
            return "before" if self.name == "after" else None
        return self.start


def _listed(*variants: Variant) -> Mapping[str, Variant]:
    return MappingProxyType({variant.name: variant for variant in variants})


VARIANTS = _listed(
    Variant("before", "the deck's first system", "before"),
    Variant("before+classes", "rare classes left out", "before", taken=("data.min_count",)),
    Variant("before+threshold", "thresholds on a grid", "before", taken=("thresholds.strategy",)),
    Variant(
        "before+selection",
        "epoch by validation macro-F1, not loss",
        "before",
        taken=("training.selection",),
    ),
    Variant("before+gamma", "focal gamma 2.0 to 2.5", "before", taken=("loss.gamma",)),
    Variant("before+alpha", "focal alpha 0.25 to 0.15", "before", taken=("loss.alpha",)),
    Variant("before+pos_weight", "pos_weight at most 10", "before", taken=("loss.max_pos_weight",)),
    Variant(
        "before+length",
        "epochs and patience of the final system",
        "before",
        taken=("training.epochs", "training.patience"),
    ),
    Variant("after", "the deck's final system: all of these", "after"),
    Variant("after-threshold", "0.5 for every class", "after", {"thresholds.strategy": "fixed"}),
    Variant(
        "after+pooled",
        "rare diseases borrow thresholds",
        "after",
        {"thresholds.strategy": "pooled"},
    ),
    Variant(
        "after+cross-fitted",
        "epoch by macro-F1 at thresholds of other patients",
        "after",
        {"training.selection": "macro_f1_cross_fitted"},
    ),
    Variant("after+link", "probabilities by the loss's inverse link", "after", {"loss.link": True}),
    Variant("after+ours", "pooled, cross-fitted and link together", "after", _OURS),
    Variant("after-sampler", "images shuffled", "after", {"training.sampler": False}),
    Variant("after-focal", "cross-entropy: no gamma, no alpha", "after", _PLAIN),
    Variant(
        "after-sampler-focal",
        "images shuffled, and cross-entropy",
        "after",
        {"training.sampler": False, **_PLAIN},
    ),
    Variant(
        "after+importance",
        "the loss undoes the sampler's preference",
        "after",
        {"training.importance_weights": True},
    ),
)


def check_base(base: Config, preset: str) -> None:
    """Refuse a base that sets what the variants set themselves."""
    changed = [name for name in differences(PRESETS[preset], base) if name in _FIXED_BY_VARIANTS]
    if changed:
        raise RecipeError(
            f"the variants set {', '.join(changed)} themselves: leave out such flags; size, data "
            "and runtime are yours to choose"
        )


def variant_config(variant: Variant, base: Config, seed: int) -> Config:
    """Return the settings of a variant: its system's, at the size of the base.

    Epochs and patience of "before" are to those of "after" as in the deck; the learning rate falls
    over the epochs of "after" in all of them.
    """
    deck = PRESETS["after"]
    after = _with(
        replace(base, loss=deck.loss),
        {
            "optimizer.schedule": deck.optimizer.schedule,
            "optimizer.t_max": base.training.epochs,
            "training.selection": deck.training.selection,
            "training.sampler": True,
            "training.importance_weights": False,
            "training.seed": seed,
            "thresholds.strategy": deck.thresholds.strategy,
        },
    )
    if variant.start == "after":
        return _with(after, variant.changes)
    values = {name: _get(PRESETS["before"], name) for name in _DECK}
    for name in ("training.epochs", "training.patience"):
        share = values[name] / _get(deck, name)
        values[name] = max(1, round(share * _get(base, name)))
    values |= {name: _get(after, name) for name in variant.taken}
    return _with(after, {**values, **variant.changes})


def training_config(variant: Variant, base: Config, seed: int) -> Config:
    """Return the settings of the training that a variant is taken from.

    Thresholds, selection, stopping and the link change nothing about what is learnt in an epoch:
    the training runs through all epochs and keeps the outputs of each.
    """
    config = variant_config(variant, base, seed)
    return replace(
        config,
        loss=replace(config.loss, link=False),
        training=replace(
            config.training,
            epochs=base.training.epochs,
            patience=base.training.epochs,
            selection="val_loss",
            keep_epoch_predictions=True,
        ),
        thresholds=ThresholdConfig(strategy="fixed"),
    )


def training_name(variant: Variant, base: Config) -> str:
    """Return the first variant that is taken from the same training."""
    own = config_to_dict(training_config(variant, base, 0))
    return next(
        other.name
        for other in VARIANTS.values()
        if config_to_dict(training_config(other, base, 0)) == own
    )


def _get(config: Config, name: str) -> Any:
    section, _, setting = name.partition(".")
    return getattr(getattr(config, section), setting)


def _with(config: Config, values: _Changes) -> Config:
    by_section: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        section, _, setting = name.partition(".")
        by_section.setdefault(section, {})[setting] = value
    sections: dict[str, Any] = {
        section: replace(getattr(config, section), **settings)
        for section, settings in by_section.items()
    }
    return replace(config, **sections)
