"""Complete configurations by name: ``--preset NAME`` chooses one, other flags change single fields.

``default`` trains as the deck does in the end, but selects, tunes and scores in ways that hold on
new patients. ``after`` and ``before`` are the deck's final settings and its first attempt, whole.
``cpu`` trains on real photographs without a GPU and without pretrained weights, ``frozen`` only a
head on pretrained ones, ``demo`` on generated photographs in minutes.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from examples.rfmid.settings import (
    AugmentationConfig,
    Config,
    DataConfig,
    ImageConfig,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    RuntimeConfig,
    ThresholdConfig,
    TrainingConfig,
)

_DEFAULT = Config()

_AFTER = Config(
    loss=LossConfig(link=False),
    optimizer=OptimizerConfig(schedule="cosine"),
    training=TrainingConfig(selection="macro_f1_tuned", importance_weights=False),
    thresholds=ThresholdConfig(strategy="grid"),
)

_BEFORE = Config(
    data=DataConfig(min_count=1),
    loss=LossConfig(gamma=2.0, alpha=0.25, max_pos_weight=None, link=False),
    optimizer=OptimizerConfig(schedule="cosine"),
    training=TrainingConfig(epochs=30, patience=5, selection="val_loss"),
    thresholds=ThresholdConfig(strategy="fixed"),
)

# From random weights the whole network learns at one rate. The augmentation keeps what is cheap:
# at these image sizes the deck's would take as long as the network.
_CPU = Config(
    image=ImageConfig(image_size=96),
    augmentation=AugmentationConfig(
        sharpness=1.0, hue=0.0, affine_degrees=0.0, blur_kernel=0, interpolation="bilinear"
    ),
    model=ModelConfig(architecture="convnext_demo", weights="none"),
    optimizer=OptimizerConfig(lr=2e-3, backbone_scale=1.0, head_scale=1.0, weight_decay=0.05),
    training=TrainingConfig(batch_size=16, patience=50),
    # On two cores, one trains and one augments: sharing a batch of 16 costs more than it saves.
    runtime=RuntimeConfig(cache="memory", threads=1, num_workers=1),
)

_DEMO = replace(
    _CPU,
    data=DataConfig(certify_share=0.25),
    image=ImageConfig(image_size=64),
    augmentation=replace(
        _CPU.augmentation, translate=0.0, scale_min=1.0, scale_max=1.0, erasing=0.0
    ),
    optimizer=replace(_CPU.optimizer, t_max=32),
    training=replace(_CPU.training, epochs=32),
)

# On features that don't change, a head soon knows every training photograph: strong decay holds its
# weights back. The biases say how rare the diseases are, so they start there and don't decay. The
# sampler, which shows few photographs often, and focusing cost such a head discrimination.
_FROZEN = Config(
    model=ModelConfig(
        freeze="backbone",
        features=("features.1", "features.3", "features.5", "features.7"),
        head_bias="prevalence",
    ),
    loss=LossConfig(gamma=0.0, alpha=None, max_pos_weight=2.0),
    optimizer=OptimizerConfig(
        lr=1e-3, head_scale=1.0, weight_decay=3.0, no_decay="norm_and_bias", t_max=30
    ),
    training=TrainingConfig(epochs=30, patience=30, sampler=False),
)

PRESETS = MappingProxyType(
    {
        "default": _DEFAULT,
        "after": _AFTER,
        "before": _BEFORE,
        "cpu": _CPU,
        "frozen": _FROZEN,
        "demo": _DEMO,
    }
)
