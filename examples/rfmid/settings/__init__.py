"""Every setting of a run, as frozen dataclasses.

The defaults are the final settings of the published student project that the recipe reproduces
("the deck"). The command line reads these classes, ``config.json`` in the run folder stores them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from examples.rfmid.settings.checks import require
from examples.rfmid.settings.images import AugmentationConfig, DataConfig, ImageConfig
from examples.rfmid.settings.training import (
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    RuntimeConfig,
    ThresholdConfig,
    TrainingConfig,
)

__all__ = [
    "AugmentationConfig",
    "Config",
    "DataConfig",
    "ImageConfig",
    "LossConfig",
    "ModelConfig",
    "OptimizerConfig",
    "RuntimeConfig",
    "ThresholdConfig",
    "TrainingConfig",
]


@dataclass(frozen=True)
class Config:
    """All settings of a run."""

    data: DataConfig = field(default_factory=DataConfig)
    image: ImageConfig = field(default_factory=ImageConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    thresholds: ThresholdConfig = field(default_factory=ThresholdConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)

    def __post_init__(self) -> None:
        require(
            self.model.architecture != "convnext_demo" or self.training.batch_size > 1,
            "convnext_demo has batch normalisation: batch_size must be at least 2",
        )
        require(
            self.optimizer.schedule != "cosine" or self.training.epochs <= self.optimizer.t_max,
            f"with the schedule cosine the learning rate rises again after t_max = "
            f"{self.optimizer.t_max} epochs, but epochs is {self.training.epochs}",
        )
