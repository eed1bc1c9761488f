"""The decisions that a network with thresholds takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mlthresh.exceptions import InputError
from mlthresh.posterior import FocalPosterior
from mlthresh.saving import save_model
from mlthresh.thresholded_model import ThresholdedModel
from tests.deployed import INPUTS, Network, make_thresholds

pytest.importorskip("safetensors")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", ["probability", "real"])
@pytest.mark.parametrize(
    "posterior", [None, FocalPosterior(2.5, 0.15, [1.0, 5.0, 10.0])], ids=["sigmoid", "posterior"]
)
def test_decides_on_the_scores_that_were_tuned(posterior: Any, scale: Any, dtype: Any) -> None:
    network = Network().eval()
    logits = network(INPUTS).detach().to(torch.from_numpy(np.empty(0, dtype)).dtype)
    probability = torch.sigmoid(logits) if posterior is None else posterior(logits)
    log_odds = logits if posterior is None else posterior.logits(logits)
    scores = probability if scale == "probability" else log_odds
    # Thresholds that are scores of the data: `>=` must hold for them to the last bit.
    thresholds = make_thresholds([*scores[10, :2].tolist(), np.inf], dtype, scale)

    deployed = ThresholdedModel(network, thresholds, posterior=posterior)
    probabilities, decisions = deployed(INPUTS)
    assert torch.equal(probabilities, probability)
    assert probabilities.dtype == logits.dtype
    assert torch.equal(decisions, thresholds.predict(scores))
    assert decisions[10, :2].all()
    assert not decisions[:, 2].any()


def test_a_half_precision_network_decides_in_the_tuned_dtype() -> None:
    # bfloat16 would round the threshold up to the score below it, and 0.7 away from 0.7.
    thresholds = make_thresholds([0.7001, 0.7])
    logits = torch.logit(torch.tensor([[0.70005, 0.7]], dtype=torch.float64)).float()

    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = nn.Parameter(torch.zeros(2))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return logits + 0 * self.bias.float() + 0 * x

    for convert in (nn.Module.float, nn.Module.half, nn.Module.bfloat16, nn.Module.double):
        deployed = convert(ThresholdedModel(Constant(), thresholds))
        probabilities, decisions = deployed(torch.zeros(1, 2))
        assert probabilities.dtype == torch.float32
        assert decisions.tolist() == thresholds.predict(torch.sigmoid(logits)).tolist()
        assert decisions[0, 0].item() is False

    network = Network().eval().bfloat16()
    probabilities, decisions = ThresholdedModel(network, make_thresholds())(INPUTS.bfloat16())
    assert probabilities.dtype == torch.float32
    assert torch.equal(decisions, make_thresholds().predict(probabilities))


def test_follows_the_device_and_compilers() -> None:
    deployed = ThresholdedModel(
        Network().eval(), make_thresholds(), posterior=FocalPosterior(2.5, 0.15, [1.0, 2.0, 3.0])
    )
    exported = torch.export.export(deployed, (INPUTS,)).module()
    for ours, theirs in zip(deployed(INPUTS), exported(INPUTS), strict=True):
        assert torch.equal(ours, theirs)
    assert set(deployed.state_dict()) == {f"model.{name}" for name in Network().state_dict()}
    on_meta = deployed.to("meta")
    assert all(buffer.device.type == "meta" for buffer in on_meta.buffers())


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (torch.zeros(5, 2), r"shape \(5, 2\), but there are 3 thresholds"),
        (torch.zeros(3), r"shape \(3,\)"),
        (torch.zeros(5, 3, 1), r"shape \(5, 3, 1\)"),
        ((torch.zeros(5, 3),), r"must return a tensor, got tuple"),
        (torch.tensor([[0.0, 0.0, 0.0], [0.0, float("nan"), 0.0]]), r"NaN at \[1, 1\].*disease 1"),
    ],
)
def test_unusable_outputs_raise(output: Any, message: str) -> None:
    class Returns(nn.Module):
        def forward(self, x: Any) -> Any:  # noqa: ARG002
            return output

    with pytest.raises(InputError, match=message):
        ThresholdedModel(Returns(), make_thresholds())(None)


@pytest.mark.parametrize(
    ("model", "thresholds", "posterior", "message"),
    [
        ("network", make_thresholds(), None, "bare network, got str"),
        (nn.Identity(), np.zeros(3), None, "ThresholdSet, got ndarray"),
        (nn.Identity(), make_thresholds(), {"gamma": 2.0}, "FocalPosterior, got dict"),
        (nn.Identity(), make_thresholds(), FocalPosterior(2.0, None, [1.0, 2.0]), "2 classes"),
        (ThresholdedModel(nn.Identity(), make_thresholds()), make_thresholds(), None, "bare"),
    ],
)
def test_unusable_parts_raise(
    model: Any, thresholds: Any, posterior: Any, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        ThresholdedModel(model, thresholds, posterior=posterior)
    with pytest.raises(InputError, match=message):
        save_model(tmp_path / "new", model, thresholds, posterior=posterior)
    assert not (tmp_path / "new").exists()
