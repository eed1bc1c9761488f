"""The posterior against a numerical minimiser of the loss, and its behaviour in float32."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mlthresh.exceptions import InputError
from mlthresh.losses import focal_loss_with_pos_weight
from mlthresh.posterior import FocalPosterior, focal_posterior, focal_posterior_logits

PARAMETERS = [
    (0.0, None, None),
    (0.0, 0.25, 10.0),
    (0.3, 0.15, None),
    (1.0, None, 479.0),
    (2.0, 0.25, 1.0),
    (2.5, 0.15, 10.0),
    (5.0, 0.9, 0.1),
    (5.0, 0.01, 479.0),
]


def minimisers(eta: torch.Tensor, gamma: float, alpha: Any, pos_weight: Any) -> torch.Tensor:
    """Bisect the derivative of the expected loss: its value at the soft target eta."""

    def slope(z: torch.Tensor) -> torch.Tensor:
        z = z.requires_grad_()
        risk = focal_loss_with_pos_weight(
            z, eta, gamma=gamma, alpha=alpha, pos_weight=pos_weight, reduction="sum"
        )
        return torch.autograd.grad(risk, z)[0]

    low, high = torch.full_like(eta, -40), torch.full_like(eta, 40)
    for _ in range(80):
        middle = (low + high) / 2
        rising = slope(middle) > 0
        high, low = torch.where(rising, middle, high), torch.where(rising, low, middle)
    return ((low + high) / 2).detach()


@pytest.mark.parametrize(("gamma", "alpha", "pos_weight"), PARAMETERS)
def test_inverts_the_numerical_minimiser(gamma: float, alpha: Any, pos_weight: Any) -> None:
    log_odds = torch.linspace(-12, 12, 241, dtype=torch.float64)[:, None]
    eta = torch.sigmoid(log_odds)
    z = minimisers(eta, gamma, alpha, pos_weight)
    parameters = {"gamma": gamma, "alpha": alpha, "pos_weight": pos_weight}
    torch.testing.assert_close(focal_posterior(z, **parameters), eta, rtol=1e-9, atol=0)
    torch.testing.assert_close(
        focal_posterior_logits(z, **parameters), log_odds, rtol=1e-9, atol=1e-9
    )


@given(st.floats(-20, 20), st.floats(0, 5), st.floats(0.01, 0.99), st.floats(0.01, 500))
def test_equals_the_definition(z: float, gamma: float, alpha: float, w: float) -> None:
    def log_slope(u: float) -> float:  # log A(u)
        q, p = 1 / (1 + np.exp(u)), 1 / (1 + np.exp(-u))
        return gamma * np.log(q) + np.log(q + gamma * p * np.log1p(np.exp(-u)))

    expected = log_slope(-z) - log_slope(z) - np.log(alpha * w / (1 - alpha))
    actual = focal_posterior_logits(np.array([z]), gamma=gamma, alpha=alpha, pos_weight=w)
    assert actual[0] == pytest.approx(expected, rel=1e-11, abs=1e-11)


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize(("gamma", "alpha", "pos_weight"), PARAMETERS)
def test_never_decreases_over_all_of_float32(
    gamma: float, alpha: Any, pos_weight: Any, library: str
) -> None:
    # Neighbouring floats of every magnitude, from the smallest subnormal to the largest float.
    bits = np.linspace(1, 0x7F7FFFFE, 50_000).astype(np.int32)
    positive = np.concatenate([bits, bits + 1]).view(np.float32)
    z = np.unique(np.concatenate([-positive, [np.float32(0)], positive]))
    logits = torch.from_numpy(z) if library == "torch" else z
    parameters = {"gamma": gamma, "alpha": alpha, "pos_weight": pos_weight}
    log_odds = np.asarray(focal_posterior_logits(logits, **parameters))
    assert log_odds.dtype == np.float32
    assert (log_odds[1:] >= log_odds[:-1]).all()
    moderate = np.abs(z) < 1e30
    assert np.isfinite(log_odds[moderate]).all()
    probability = np.asarray(focal_posterior(logits, **parameters))
    assert (probability[1:] >= probability[:-1]).all()
    assert ((probability >= 0) & (probability <= 1)).all()


def test_far_out_it_is_a_straight_line() -> None:
    z = np.array([-1e4, -200.0, 200.0, 1e4])
    log_odds = focal_posterior_logits(z, gamma=2.0, alpha=None)
    expected = 3 * z - np.sign(z) * np.log(3.0)  # (gamma + 1) |z| - log(1 + gamma)
    np.testing.assert_allclose(log_odds, expected, rtol=1e-15)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.5, 5.0, 50.0])
@pytest.mark.parametrize("size", [30.0, 1e3, 1e4, 1e30])
def test_stays_finite_and_odd_far_out(gamma: float, size: float) -> None:
    z = np.array([-size, size])
    low, high = focal_posterior_logits(z, gamma=gamma, alpha=None)
    assert np.isfinite(high)
    assert high == -low
    assert high == pytest.approx((gamma + 1) * size - np.log1p(gamma), rel=1e-9)
    np.testing.assert_allclose(focal_posterior(z, gamma=gamma, alpha=None), [0, 1], atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_of_plain_cross_entropy_it_is_the_sigmoid(dtype: Any) -> None:
    z = np.linspace(-90, 90, 1001).astype(dtype)
    np.testing.assert_array_equal(focal_posterior_logits(z, gamma=0, alpha=None, pos_weight=1), z)
    expected = torch.sigmoid(torch.from_numpy(z).double()).numpy().astype(dtype)
    probability = focal_posterior(z, gamma=0, alpha=None, pos_weight=1)
    np.testing.assert_allclose(probability, expected, rtol=4 * np.finfo(dtype).eps)


def test_numpy_equals_torch_and_classes_are_separate() -> None:
    z = np.random.default_rng(0).normal(scale=5, size=(100, 3))
    gamma, alpha, pos_weight = (0.0, 2.0, 5.0), np.array([0.1, 0.5, 0.9]), [1.0, 10.0, 479.0]
    together = focal_posterior(z, gamma=gamma, alpha=alpha, pos_weight=pos_weight)
    tensors = focal_posterior(
        torch.from_numpy(z),
        gamma=gamma,
        alpha=torch.from_numpy(alpha),
        pos_weight=torch.tensor(pos_weight),
    )
    np.testing.assert_allclose(together, tensors.numpy(), rtol=1e-14)
    for column in range(3):
        alone = focal_posterior(
            z[:, column], gamma=gamma[column], alpha=alpha[column], pos_weight=pos_weight[column]
        )
        np.testing.assert_array_equal(together[:, column], alone)


@pytest.mark.parametrize(
    ("given_dtype", "expected"),
    [
        (torch.float64, torch.float64),
        (torch.float32, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.int64, torch.float64),
    ],
)
def test_dtypes(given_dtype: torch.dtype, expected: torch.dtype) -> None:
    z = torch.tensor([[-3, 0, 2]]).to(given_dtype)
    posterior = FocalPosterior(2.5, 0.15, 10.0)
    for function in (posterior, posterior.logits):
        result = function(z)
        assert result.dtype == expected
        torch.testing.assert_close(result, function(z.double()).to(expected), rtol=0, atol=0)
    if given_dtype != torch.bfloat16:
        array = posterior(z.numpy())
        assert torch.from_numpy(array).dtype == expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64])
def test_device_without_float64(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    z = torch.tensor([[-300, -3, 0, 2, 40]]).to(dtype)
    posterior = FocalPosterior(2.5, 0.15, 10.0)
    expected = posterior.logits(z.double()).float()
    monkeypatch.setattr("mlthresh.posterior._WITHOUT_FLOAT64", {"cpu"})
    actual = posterior.logits(z)
    assert actual.dtype == torch.float32
    torch.testing.assert_close(actual, expected, rtol=0, atol=0)


def test_gradient_flows_also_at_zero() -> None:
    z = torch.tensor([[-2.0], [0.0], [3.0]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(FocalPosterior(2.5, 0.15, 10.0).logits, (z,))
    assert torch.autograd.gradcheck(FocalPosterior(2.5, 0.15, 10.0), (z,))


def test_empty_and_nan_logits_pass_through() -> None:
    assert focal_posterior(np.empty((0, 3)), gamma=2.0, alpha=0.25).shape == (0, 3)
    assert np.isnan(focal_posterior(np.array([np.nan]), gamma=2.0, alpha=0.25)).all()
    np.testing.assert_array_equal(
        focal_posterior(np.array([-np.inf, np.inf]), gamma=2.0, alpha=0.25), [0.0, 1.0]
    )


@pytest.mark.parametrize(
    "posterior",
    [
        FocalPosterior(2.5, 0.15),
        FocalPosterior(0, None, None),
        FocalPosterior([1.0, 2.0], None, np.array([1.0, 1 / 3])),
        FocalPosterior(torch.tensor(2.5), torch.tensor([0.1, 0.2]), torch.tensor([3.0, 4.0])),
    ],
)
def test_survives_json_exactly(posterior: FocalPosterior) -> None:
    again = FocalPosterior.from_dict(json.loads(json.dumps(posterior.to_dict())))
    assert again == posterior
    assert hash(again) == hash(posterior)
    z = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(again(z), posterior(z))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1.0, None, None), "gamma must be finite and >= 0, got -1.0"),
        ((2.0, 1.0, None), "alpha must be between 0 and 1"),
        ((2.0, 0.5, [1.0, 0.0]), "pos_weight must be finite and > 0, got 0.0 for class 1"),
        (([1.0, 2.0], [0.1] * 3, None), "alpha has 3 classes, another one has 2"),
        ((None, None, None), "gamma must be"),
    ],
)
def test_bad_parameters_raise(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        FocalPosterior(*arguments)
    gamma, alpha, pos_weight = arguments
    with pytest.raises(InputError, match=message):
        focal_posterior(np.zeros((1, 2)), gamma=gamma, alpha=alpha, pos_weight=pos_weight)


@pytest.mark.parametrize(
    "values", [None, [], {}, {"gamma": 2.0}, {"gamma": 2.0, "alpha": 0.1, "pos_weight": "x"}]
)
def test_bad_stored_values_raise(values: Any) -> None:
    with pytest.raises(InputError):
        FocalPosterior.from_dict(values)


@pytest.mark.parametrize("shape", [(4, 3), (2,), ()])
def test_wrong_number_of_classes_raises(shape: tuple[int, ...]) -> None:
    if shape == (2,):
        assert FocalPosterior(2.0, None, [1.0, 2.0])(np.zeros(shape)).shape == shape
        return
    with pytest.raises(InputError, match="2 classes, but the logits have shape"):
        FocalPosterior(2.0, None, [1.0, 2.0])(np.zeros(shape))


def test_arrays_do_not_import_torch() -> None:
    code = (
        "import sys, numpy as np\n"
        "from mlthresh.posterior import focal_posterior\n"
        "focal_posterior(np.zeros((2, 2)), gamma=2.0, alpha=[0.1, 0.2])\n"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
