"""The focal loss against a Python loop, its peers, and what it promises about edge cases."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from mlthresh.exceptions import InputError
from mlthresh.losses import FocalLossWithPosWeight, focal_loss_with_pos_weight

NAN = float("nan")
GAMMAS = (0.0, 0.1, 0.5, 1.0, 1.5, 2.0, 2.5, 3.3, 5.0, 7.5)


# A slow reference: one float at a time, written from the definition.


def naive_term(u: float, gamma: float) -> float:
    log_q = -(max(u, 0.0) + math.log1p(math.exp(-abs(u))))  # log sigmoid(-u)
    softplus = max(-u, 0.0) + math.log1p(math.exp(-abs(u)))
    return math.exp(gamma * log_q) * softplus


def naive_slope(u: float, gamma: float) -> float:
    log_q = -(max(u, 0.0) + math.log1p(math.exp(-abs(u))))
    softplus = max(-u, 0.0) + math.log1p(math.exp(-abs(u)))
    p = math.exp(-softplus)
    return -math.exp(gamma * log_q) * (math.exp(log_q) + gamma * p * softplus)


def at(value: Any, column: int) -> float:
    return float(value[column]) if np.ndim(value) else float(value)


def naive_weights(alpha: Any, pos_weight: Any, column: int) -> tuple[float, float]:
    positive = 1.0 if pos_weight is None else at(pos_weight, column)
    if alpha is None:
        return positive, 1.0
    return at(alpha, column) * positive, 1.0 - at(alpha, column)


def naive_losses(
    logits: Any, targets: Any, gamma: Any, alpha: Any, pos_weight: Any
) -> list[list[float]]:
    rows = []
    for z_row, y_row in zip(logits, targets, strict=True):
        row = []
        for column, (z, y) in enumerate(zip(z_row, y_row, strict=True)):
            a1, a0 = naive_weights(alpha, pos_weight, column)
            g = at(gamma, column)
            loss = y * a1 * naive_term(z, g) + (1 - y) * a0 * naive_term(-z, g)
            row.append(0.0 if math.isnan(y) else loss)
        rows.append(row)
    return rows


@st.composite
def problems(draw: st.DrawFn) -> dict[str, Any]:
    n, c = draw(st.integers(0, 6)), draw(st.integers(1, 4))
    hard = draw(st.booleans())
    target = st.sampled_from([0.0, 1.0, NAN]) if hard else st.floats(0, 1) | st.just(NAN)

    def per_class(low: float, high: float) -> st.SearchStrategy[Any]:
        number = st.floats(low, high)
        return number | st.lists(number, min_size=c, max_size=c)

    def matrix(entry: st.SearchStrategy[float]) -> torch.Tensor:
        values = draw(st.lists(entry, min_size=n * c, max_size=n * c))
        return torch.tensor(values, dtype=torch.float64).reshape(n, c)

    weight = draw(st.none() | st.lists(st.floats(0, 10), min_size=n, max_size=n))
    return {
        "logits": matrix(st.floats(-200, 200)),
        "targets": matrix(target),
        "gamma": draw(st.sampled_from(GAMMAS) | per_class(0, 6)),
        "alpha": draw(st.none() | per_class(0.01, 0.99)),
        "pos_weight": draw(st.none() | per_class(0.01, 500)),
        "sample_weight": None if weight is None else torch.tensor(weight, dtype=torch.float64),
    }


@given(problems())
def test_equals_a_python_loop(problem: dict[str, Any]) -> None:
    rows = naive_losses(
        problem["logits"].tolist(),
        problem["targets"].tolist(),
        problem["gamma"],
        problem["alpha"],
        problem["pos_weight"],
    )
    expected = torch.tensor(rows, dtype=torch.float64).reshape(problem["logits"].shape)
    if problem["sample_weight"] is not None:
        expected = expected * problem["sample_weight"][:, None]
    n_known = int((~problem["targets"].isnan()).sum())

    close = {"rtol": 1e-11, "atol": 1e-300}
    for reduction, value in {
        "none": expected,
        "sum": expected.sum(),
        "mean": expected.sum() / max(1, n_known),
    }.items():
        loss = focal_loss_with_pos_weight(**problem, reduction=reduction)
        torch.testing.assert_close(loss, value, **close)


@pytest.mark.parametrize("path", ["one block", "few", "transformed"])
@pytest.mark.parametrize("target", [0.0, 1.0, 0.3])
def test_float64_keeps_its_digits_at_every_logit(target: float, path: str) -> None:
    z = torch.linspace(-60, 60, 4801 if path == "one block" else 481, dtype=torch.float64)[:, None]
    y = torch.full_like(z, target)

    def loss(logits: torch.Tensor) -> torch.Tensor:
        return focal_loss_with_pos_weight(logits, y, gamma=2.5, alpha=0.15, reduction="none")

    actual = torch.vmap(loss)(z[None])[0] if path == "transformed" else loss(z)
    expected = naive_losses(z.tolist(), y.tolist(), 2.5, 0.15, None)
    torch.testing.assert_close(
        actual, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=0
    )


@pytest.mark.parametrize("path", ["one block", "few", "transformed"])
@pytest.mark.parametrize("gamma", [*GAMMAS, 50.0, 1000.0])
@pytest.mark.parametrize("target", [0.0, 1.0, 0.3])
def test_float32_gradient_is_accurate(gamma: float, target: float, path: str) -> None:
    z = torch.linspace(-30, 30, 4097 if path == "one block" else 4001)[:, None]
    y = torch.full_like(z, target)

    def loss(logits: torch.Tensor) -> torch.Tensor:
        return focal_loss_with_pos_weight(
            logits, y, gamma=gamma, alpha=0.15, pos_weight=10.0, reduction="sum"
        )

    if path == "transformed":
        gradient = torch.func.grad(loss)(z)
    else:
        z.requires_grad_()
        (gradient,) = torch.autograd.grad(loss(z), z)

    for z_i, actual in zip(z.flatten().tolist(), gradient.flatten().tolist(), strict=True):
        up = target * 1.5 * naive_slope(z_i, gamma)
        down = -(1 - target) * 0.85 * naive_slope(-z_i, gamma)
        # Of a soft target the two terms pull against each other; each is what must be accurate.
        scale = max(abs(up), abs(down), 1e-30 if gamma <= 50 else 1e-20)
        assert abs(actual - (up + down)) <= 1e-5 * scale


@pytest.mark.parametrize("path", ["eager", "transformed"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("gamma", GAMMAS)
def test_extreme_logits_stay_finite(gamma: float, dtype: torch.dtype, path: str) -> None:
    extremes = [-1e30, -1e4, -104.0, -88.0, 0.0, 88.0, 104.0, 1e4, 1e30]
    z = torch.tensor(extremes, dtype=dtype)[:, None].expand(-1, 3)
    y = torch.tensor([0.0, 1.0, 0.5], dtype=dtype).expand_as(z)

    def loss(logits: torch.Tensor) -> torch.Tensor:
        return focal_loss_with_pos_weight(logits, y, gamma=gamma, alpha=None, reduction="none")

    if path == "eager":
        leaf = z.clone().requires_grad_()
        value = loss(leaf)
        (gradient,) = torch.autograd.grad(value.sum(), leaf, create_graph=True)
        (second,) = torch.autograd.grad(gradient.sum(), leaf)
        assert second.isfinite().all()
    else:
        gradient, value = torch.func.grad_and_value(lambda x: loss(x).sum())(z)
    assert value.isfinite().all()
    assert gradient.isfinite().all()
    # A confident mistake costs its distance, and pulls with its full weight.
    torch.testing.assert_close(gradient[0, 1], torch.tensor(-1.0, dtype=dtype))
    torch.testing.assert_close(gradient[-1, 0], torch.tensor(1.0, dtype=dtype))


# Derivatives.


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("kind", ["hard", "soft"])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 2.5, (0.0, 1.7, 5.0)])
def test_first_and_second_derivatives(gamma: Any, kind: str, reduction: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(4, 3, dtype=torch.float64, generator=generator).mul(3).requires_grad_()
    y = torch.rand(4, 3, dtype=torch.float64, generator=generator)
    y = y.round() if kind == "hard" else y
    y[1, 2] = NAN

    def loss(logits: torch.Tensor) -> torch.Tensor:
        return focal_loss_with_pos_weight(
            logits,
            y,
            gamma=torch.tensor(gamma) if isinstance(gamma, tuple) else gamma,
            alpha=torch.tensor([0.1, 0.5, 0.9]),
            pos_weight=4.0,
            sample_weight=torch.tensor([1.0, 2.0, 0.0, 0.5]),
            reduction=reduction,
        )

    assert torch.autograd.gradcheck(loss, (z,))
    assert torch.autograd.gradgradcheck(loss, (z,))


def test_third_derivative() -> None:
    z = torch.tensor([[-2.0, 0.0, 1.5]], dtype=torch.float64, requires_grad=True)
    y = torch.tensor([[1.0, 0.0, 0.4]], dtype=torch.float64)

    def second(logits: torch.Tensor) -> torch.Tensor:
        loss = focal_loss_with_pos_weight(logits, y, gamma=2.0, alpha=0.25, reduction="sum")
        (first,) = torch.autograd.grad(loss, logits, create_graph=True)
        return torch.autograd.grad(first.sum(), logits, create_graph=True)[0]

    assert torch.autograd.gradcheck(second, (z,))


def test_second_backward_repeats_the_first() -> None:
    z, y = random_problem(shape=(300, 400))
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        leaf = z.to(dtype).requires_grad_()
        loss = focal_loss_with_pos_weight(leaf, y, gamma=2.5, alpha=0.15, pos_weight=3.0)
        first = torch.autograd.grad(3 * loss, leaf, retain_graph=True)[0].clone()
        second = torch.autograd.grad(3 * loss, leaf)[0]
        torch.testing.assert_close(second, first, rtol=1e-6, atol=0)


@pytest.mark.parametrize("shape", [(16, 3), (3000, 30)])
def test_large_and_small_inputs_take_the_same_sample_weights(shape: tuple[int, int]) -> None:
    z, y = random_problem(shape=shape)
    z, y = z.float(), y.float()
    weight = torch.rand(shape[0], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    loss = FocalLossWithPosWeight(2.5, 0.15, reduction="none")
    actual = loss(z, y, weight)
    assert actual.dtype == torch.float32
    torch.testing.assert_close(actual, loss(z, y) * weight[:, None].float(), rtol=1e-6, atol=0)


def test_everything_else_is_differentiable_too() -> None:
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(4, 3, dtype=torch.float64, generator=generator)
    y = torch.rand(4, 3, dtype=torch.float64, generator=generator).mul(0.8).add(0.1)
    gamma = torch.tensor([0.7, 2.0, 3.0], dtype=torch.float64)
    alpha = torch.tensor(0.3, dtype=torch.float64)
    pos_weight = torch.tensor([1.0, 5.0, 0.5], dtype=torch.float64)
    weight = torch.tensor([1.0, 2.0, 3.0, 0.5], dtype=torch.float64)
    arguments = tuple(x.requires_grad_() for x in (z, y, gamma, alpha, pos_weight, weight))

    def loss(*x: torch.Tensor) -> torch.Tensor:
        return focal_loss_with_pos_weight(
            x[0], x[1], gamma=x[2], alpha=x[3], pos_weight=x[4], sample_weight=x[5]
        )

    assert torch.autograd.gradcheck(loss, arguments)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_learnable_parameters_leave_the_loss_as_it_is(reduction: Any) -> None:
    z, y = random_problem()
    y[0, 0] = NAN
    gamma = torch.tensor(2.0, dtype=z.dtype)
    options = {"alpha": 0.25, "reduction": reduction}
    fixed = focal_loss_with_pos_weight(z, y, gamma=gamma, **options)
    learnt = focal_loss_with_pos_weight(z, y, gamma=gamma.clone().requires_grad_(), **options)
    torch.testing.assert_close(learnt.detach(), fixed)


def test_keeps_only_its_arguments_for_backward() -> None:
    z = torch.randn(300, 400, requires_grad=True)  # more than one block
    y = torch.randint(2, (300, 400)).float()
    kept = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.data_ptr())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = focal_loss_with_pos_weight(z, y, gamma=2.5, alpha=0.15, pos_weight=3.0)
        loss.backward()
    assert set(kept) == {z.data_ptr(), y.data_ptr()}
    assert loss.grad_fn is not None
    assert loss.grad_fn.slopes is None  # prepared by forward, and handed over


def test_targets_changed_before_backward_are_noticed() -> None:
    z, y = torch.zeros(2, 2, requires_grad=True), torch.ones(2, 2)
    loss = focal_loss_with_pos_weight(z, y, gamma=2.0, alpha=0.25)
    y.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


# Parity with peers, and laws.


def value_and_gradient(logits: torch.Tensor, **arguments: Any) -> tuple[torch.Tensor, torch.Tensor]:
    leaf = logits.detach().clone().requires_grad_()
    value = focal_loss_with_pos_weight(leaf, **arguments)
    return value.detach(), torch.autograd.grad(value.sum(), leaf)[0]


def random_problem(seed: int = 0, shape: tuple[int, int] = (50, 4)) -> Any:
    rng = np.random.default_rng(seed)
    z = torch.from_numpy(rng.normal(scale=5, size=shape))
    y = torch.from_numpy((rng.random(shape) < 0.3).astype(float))
    return z, y


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_without_gamma_and_alpha_it_is_bce(dtype: torch.dtype, soft: bool) -> None:
    z, y = random_problem()
    z, y = z.to(dtype), (0.8 * y + 0.1 if soft else y).to(dtype)
    pos_weight = torch.tensor([0.5, 1.0, 10.0, 479.0], dtype=dtype)
    value, gradient = value_and_gradient(z, targets=y, gamma=0.0, alpha=None, pos_weight=pos_weight)
    leaf = z.clone().requires_grad_()
    bce = functional.binary_cross_entropy_with_logits(leaf, y, pos_weight=pos_weight)
    torch.testing.assert_close(value, bce.detach())
    torch.testing.assert_close(gradient, torch.autograd.grad(bce, leaf)[0])


@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, 0.25), (2.5, 0.15), (0.7, 0.9), (2.0, -1.0)])
def test_without_pos_weight_it_is_torchvisions(gamma: float, alpha: float) -> None:
    ops = pytest.importorskip("torchvision.ops")
    z, y = random_problem()
    value, gradient = value_and_gradient(
        z, targets=y, gamma=gamma, alpha=None if alpha < 0 else alpha, reduction="none"
    )
    leaf = z.clone().requires_grad_()
    theirs = ops.sigmoid_focal_loss(leaf, y, alpha=alpha, gamma=gamma)
    torch.testing.assert_close(value, theirs.detach(), rtol=1e-7, atol=1e-12)
    (their_gradient,) = torch.autograd.grad(theirs.sum(), leaf)
    torch.testing.assert_close(gradient, their_gradient, rtol=1e-7, atol=1e-12)


def test_pos_weight_does_not_enter_the_focal_factor() -> None:
    # At p = 0.9 and w = 10 the loss is 10 times the unweighted one, not more.
    z, y = torch.tensor([[math.log(9.0)]]), torch.ones(1, 1)
    plain = focal_loss_with_pos_weight(z, y, gamma=2.0, alpha=0.25)
    weighted = focal_loss_with_pos_weight(z, y, gamma=2.0, alpha=0.25, pos_weight=10.0)
    torch.testing.assert_close(weighted, 10 * plain)
    torch.testing.assert_close(plain.item(), 0.25 * 0.1**2 * -math.log(0.9), rtol=1e-6, atol=0.0)


@given(st.floats(-50, 50), st.floats(0, 1), st.floats(0, 5), st.floats(0.05, 0.95))
def test_linear_in_the_target_and_mirrored(z: float, y: float, gamma: float, alpha: float) -> None:
    def loss(logit: float, target: float, share: float) -> float:
        logits, targets = (torch.tensor([[x]], dtype=torch.float64) for x in (logit, target))
        return focal_loss_with_pos_weight(logits, targets, gamma=gamma, alpha=share).item()

    mixed = y * loss(z, 1.0, alpha) + (1 - y) * loss(z, 0.0, alpha)
    assert loss(z, y, alpha) == pytest.approx(mixed, rel=1e-12, abs=1e-300)
    assert loss(z, y, alpha) == pytest.approx(loss(-z, 1 - y, 1 - alpha), rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_hard_targets_are_monotone_in_the_logit(gamma: float, scale: float) -> None:
    z = torch.linspace(-scale, scale, 2001, dtype=torch.float64)[:, None]
    for target, direction in ((1.0, -1), (0.0, 1)):
        y = torch.full_like(z, target)
        losses = focal_loss_with_pos_weight(z, y, gamma=gamma, alpha=0.15, reduction="none")
        assert (losses.diff(dim=0) * direction > 0).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_leaves_the_loss_in_float32(dtype: torch.dtype) -> None:
    z, y = random_problem()
    features, weight = z.float(), torch.eye(4, requires_grad=True)
    with torch.autocast("cpu", dtype=dtype):
        logits = features @ weight
        loss = focal_loss_with_pos_weight(logits, y, gamma=2.5, alpha=0.15, pos_weight=7.3)
    assert logits.dtype == dtype
    assert loss.dtype == torch.float32
    outside = focal_loss_with_pos_weight(logits.float(), y, gamma=2.5, alpha=0.15, pos_weight=7.3)
    torch.testing.assert_close(loss, outside, rtol=1e-6, atol=0)
    loss.backward()
    assert weight.grad is not None
    assert weight.grad.isfinite().all()


def test_global_state_is_left_alone() -> None:
    before = torch.get_rng_state(), torch.get_default_dtype(), torch.is_grad_enabled()
    z, y = random_problem()
    value_and_gradient(z, targets=y, gamma=2.5, alpha=0.15)
    after = torch.get_rng_state(), torch.get_default_dtype(), torch.is_grad_enabled()
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


def test_no_element_rises_with_gamma() -> None:
    z, y = random_problem(shape=(200, 4))
    losses = [
        focal_loss_with_pos_weight(z, y, gamma=gamma, alpha=0.25, reduction="none")
        for gamma in GAMMAS
    ]
    for smaller, larger in itertools.pairwise(losses):
        assert (larger <= smaller).all()


# Missing labels, weights, blocks and dtypes.


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("soft", [False, True])
def test_masked_entry_equals_deleted_entry(soft: bool, reduction: Any) -> None:
    z, y = random_problem(shape=(20, 1))
    y = 0.9 * y if soft else y
    gone = torch.zeros(20, dtype=torch.bool)
    gone[[0, 3, 11, 19]] = True
    masked, holes = y.clone(), z.clone()
    masked[gone] = NAN
    holes[gone] = torch.tensor([[NAN], [math.inf], [-math.inf], [1e300]], dtype=z.dtype)
    parameters = {"gamma": 2.5, "alpha": 0.15, "pos_weight": 3.0, "reduction": reduction}

    value, gradient = value_and_gradient(holes, targets=masked, **parameters)
    kept_value, kept_gradient = value_and_gradient(z[~gone], targets=y[~gone], **parameters)
    torch.testing.assert_close(value[~gone] if reduction == "none" else value, kept_value)
    torch.testing.assert_close(gradient[~gone], kept_gradient)
    assert (gradient[gone] == 0).all()

    def transformed_loss(logits: torch.Tensor) -> torch.Tensor:
        return focal_loss_with_pos_weight(logits, masked, **parameters).sum()

    torch.testing.assert_close(torch.func.grad(transformed_loss)(holes), gradient)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("shape", [(0, 3), (4, 3)])
def test_nothing_known_is_zero(shape: tuple[int, int], reduction: Any) -> None:
    logits, targets = torch.full(shape, NAN), torch.full(shape, NAN)
    value, gradient = value_and_gradient(
        logits, targets=targets, gamma=2.0, alpha=0.25, reduction=reduction
    )
    assert value == 0
    assert gradient.shape == shape
    assert (gradient == 0).all()


def test_half_batches_weighted_by_known_targets_make_the_whole() -> None:
    z, y = random_problem()
    y[:20, 1:] = NAN
    loss = FocalLossWithPosWeight(2.0, 0.25, [1.0, 2.0, 3.0, 4.0])
    known = ~y.isnan()
    parts = sum(loss(z[half], y[half]) * known[half].sum() for half in (slice(25), slice(25, None)))
    torch.testing.assert_close(parts / known.sum(), loss(z, y))


def test_importance_weights_leave_the_mean_unbiased() -> None:
    z, y = random_problem(shape=(10, 4))
    drawing = torch.from_numpy(np.random.default_rng(2).random(10) + 0.1)
    importance = drawing.sum() / (len(drawing) * drawing)
    expectation = torch.zeros((), dtype=torch.float64)
    for row, probability in enumerate(drawing / drawing.sum()):  # a batch of one draw
        one = slice(row, row + 1)
        expectation += probability * focal_loss_with_pos_weight(
            z[one], y[one], gamma=2.0, alpha=0.25, sample_weight=importance[one]
        )
    plain = focal_loss_with_pos_weight(z, y, gamma=2.0, alpha=0.25)
    torch.testing.assert_close(expectation, plain)


@pytest.mark.parametrize("layout", ["contiguous", "transposed", "three axes"])
def test_blocks_and_layouts_change_nothing(layout: str) -> None:
    z, y = random_problem(shape=(600, 300))  # three blocks on one thread
    y[5, 7], y[5, 8] = NAN, 0.25  # only the first block is neither hard nor complete
    weight = torch.from_numpy(np.random.default_rng(3).random(600))
    gamma = torch.linspace(0, 5, 300, dtype=torch.float64)
    rows = [
        value_and_gradient(
            z[i], targets=y[i], gamma=gamma, alpha=0.25, sample_weight=weight[i], reduction="sum"
        )
        for i in range(600)
    ]
    expected = sum(value for value, _ in rows), torch.stack([gradient for _, gradient in rows])

    shape = {"three axes": (20, 30, 300)}.get(layout, (600, 300))
    if layout == "transposed":
        z, y = z.T.contiguous().T, y.T.contiguous().T
    value, gradient = value_and_gradient(
        z.reshape(shape),
        targets=y.reshape(shape),
        gamma=gamma,
        alpha=0.25,
        sample_weight=weight.reshape(shape[:-1]),
        reduction="sum",
    )
    torch.testing.assert_close(value, expected[0])
    torch.testing.assert_close(gradient.reshape(600, 300), expected[1])


def test_a_row_may_be_longer_than_a_block() -> None:
    z, y = random_problem(shape=(1, 300_001))
    options = {"gamma": 2.0, "alpha": 0.25, "reduction": "sum"}
    value, gradient = value_and_gradient(z, targets=y, **options)
    parts = [
        value_and_gradient(z[:, columns], targets=y[:, columns], **options)
        for columns in (slice(150_000), slice(150_000, None))
    ]
    torch.testing.assert_close(value, sum(value for value, _ in parts))
    torch.testing.assert_close(gradient, torch.cat([slope for _, slope in parts], dim=1))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype, reduction: Any) -> None:
    z, y = random_problem()
    z, y = z.to(dtype), y.to(dtype)
    y[0, 0] = NAN
    arguments = {"gamma": 2.5, "alpha": 0.15, "pos_weight": 7.3, "reduction": reduction}
    value, gradient = value_and_gradient(z, targets=y, **arguments)
    wide_value, wide_gradient = value_and_gradient(z.float(), targets=y.float(), **arguments)
    assert value.dtype == torch.float32
    assert gradient.dtype == dtype
    torch.testing.assert_close(value, wide_value, rtol=0, atol=0)
    torch.testing.assert_close(gradient, wide_gradient.to(dtype), rtol=0, atol=0)


@pytest.mark.parametrize("shape", [(2, 3), (300, 400)])
def test_half_precision_slopes_are_scaled_before_they_are_rounded(shape: tuple[int, int]) -> None:
    # An easy negative's slope is below the least float16; a scaled loss is there to keep it.
    z = torch.full(shape, -7.0)
    y = torch.zeros(shape)
    gradients = []
    for dtype in (torch.float16, torch.float32):
        leaf = z.to(dtype).requires_grad_()
        loss = focal_loss_with_pos_weight(leaf, y, gamma=2.0, alpha=None, reduction="sum")
        gradients += torch.autograd.grad(2.0**16 * loss, leaf)
    assert 0 < gradients[1].max() / 2.0**16 < torch.finfo(torch.float16).smallest_normal / 2**10
    torch.testing.assert_close(gradients[0].float(), gradients[1], rtol=1e-3, atol=0)


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.uint8, torch.float64])
def test_targets_of_any_dtype(dtype: torch.dtype) -> None:
    z, y = random_problem()
    z = z.float()
    loss = focal_loss_with_pos_weight(z, y.to(dtype), gamma=2.0, alpha=0.25)
    torch.testing.assert_close(
        loss, focal_loss_with_pos_weight(z, y.float(), gamma=2.0, alpha=0.25), rtol=0, atol=0
    )


# Transforms.


def test_per_sample_gradients_under_vmap() -> None:
    z, y = random_problem(shape=(6, 4))
    y[2, 1], y[3, 0] = NAN, 0.4
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)

    def loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return focal_loss_with_pos_weight(
            logits, targets, gamma=2.5, alpha=0.15, pos_weight=weights
        )

    actual = torch.vmap(torch.func.grad(loss))(z, y)
    for i in range(6):
        _, expected = value_and_gradient(
            z[i], targets=y[i], gamma=2.5, alpha=0.15, pos_weight=weights
        )
        torch.testing.assert_close(actual[i], expected)


def test_backward_under_vmap() -> None:
    z, y = random_problem(shape=(4, 3))
    y[0, 1] = NAN
    z.requires_grad_()
    losses = focal_loss_with_pos_weight(z, y, gamma=2.5, alpha=0.15, reduction="none")
    directions = torch.eye(12, dtype=z.dtype).reshape(12, 4, 3)
    rows = torch.vmap(lambda v: torch.autograd.grad(losses, z, v, retain_graph=True)[0])(directions)
    (gradient,) = torch.autograd.grad(losses.sum(), z)
    torch.testing.assert_close(rows.reshape(12, 12), torch.diag(gradient.flatten()))


def test_many_parameters_at_once_under_vmap() -> None:
    z, y = random_problem(shape=(5, 3))
    gamma, weight = torch.tensor([0.0, 1.5, 4.0]), torch.tensor([1.0, 9.0, 0.5])

    def loss(gamma: Any, weight: Any) -> torch.Tensor:
        return focal_loss_with_pos_weight(z, y, gamma=gamma, alpha=0.25, pos_weight=weight)

    expected = torch.stack(
        [loss(*one) for one in zip(gamma.tolist(), weight.tolist(), strict=True)]
    )
    torch.testing.assert_close(torch.vmap(loss)(gamma, weight), expected)


def test_hessians_agree() -> None:
    z, y = random_problem(shape=(2, 3))

    def loss(logits: torch.Tensor) -> torch.Tensor:
        return focal_loss_with_pos_weight(logits, y, gamma=2.5, alpha=0.15, pos_weight=2.0)

    plain = torch.autograd.functional.hessian(loss, z)
    torch.testing.assert_close(torch.func.jacrev(torch.func.grad(loss))(z), plain)


# Errors.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gamma": -0.1}, r"gamma must be finite and >= 0, got -0.1"),
        ({"gamma": math.inf}, r"gamma must be finite"),
        ({"gamma": NAN}, r"gamma must be finite"),
        ({"gamma": "two"}, r"gamma must be a number or one per class, got 'two'"),
        ({"gamma": None}, r"gamma must be"),
        ({"alpha": 0.0}, r"alpha must be between 0 and 1, both excluded, got 0.0"),
        ({"alpha": [0.5, 1.0, 0.5]}, r"got 1.0 for class 1"),
        ({"pos_weight": 0.0}, r"pos_weight must be finite and > 0, got 0.0"),
        ({"pos_weight": [1.0, math.inf, 1.0]}, r"got inf for class 1"),
        ({"pos_weight": torch.tensor([1.0, 1.0, NAN])}, r"got nan for class 2"),
        ({"pos_weight": torch.ones(3, 1)}, r"got shape \(3, 1\)"),
        ({"alpha": [0.5, 0.5], "pos_weight": [1.0, 2.0, 3.0]}, r"has 3 classes.* has 2"),
        ({"reduction": "avg"}, r"reduction must be one of .*got 'avg'"),
    ],
)
def test_bad_parameters_raise(arguments: dict[str, Any], message: str) -> None:
    arguments = {"gamma": 2.0, "alpha": 0.25, **arguments}
    with pytest.raises(InputError, match=message):
        FocalLossWithPosWeight(**arguments)
    with pytest.raises(InputError, match=message):
        focal_loss_with_pos_weight(torch.zeros(2, 3), torch.zeros(2, 3), **arguments)


def test_wrong_number_of_classes_raises_at_the_call() -> None:
    loss = FocalLossWithPosWeight(2.0, 0.25, pos_weight=[1.0, 2.0])
    with pytest.raises(InputError, match=r"pos_weight .* shape \(2,\), .*\(4, 3\)"):
        loss(torch.zeros(4, 3), torch.zeros(4, 3))
    for shape in ((4, 2), (2,)):
        loss(torch.zeros(shape), torch.zeros(shape))
    with pytest.raises(InputError, match=r"pos_weight .* shape \(2,\), .*\(4, 3\)"):
        loss(torch.zeros(4, 3), torch.zeros(4, 3))


@pytest.mark.parametrize(
    ("logits", "targets", "weight", "message"),
    [
        (torch.zeros(4, 4), torch.zeros(4, 1), None, r"got \(4, 1\) and \(4, 4\)"),
        (torch.zeros(4, 4), torch.zeros(4), None, r"got \(4,\) and \(4, 4\)"),
        (torch.zeros(4, 2), torch.zeros(4, 2), torch.ones(2), r"shape \(4,\); got \(2,\)"),
        (torch.zeros(4, 2), torch.zeros(4, 2), torch.ones(4, 1), r"got \(4, 1\)"),
        (torch.zeros(3, 0), torch.zeros(3, 0), None, r"logits must have shape .*\(3, 0\)"),
        (torch.tensor(0.0), torch.tensor(0.0), None, r"logits must have shape"),
        (torch.zeros(2, 2, dtype=torch.int64), torch.zeros(2, 2), None, r"got torch.int64"),
        (np.zeros((2, 2)), torch.zeros(2, 2), None, r"logits must be a tensor, got ndarray"),
        (torch.zeros(2, 2), [[0, 1], [1, 0]], None, r"targets must be a tensor, got list"),
        (torch.zeros(2, 2), torch.zeros(2, 2), torch.tensor([1.0, -1.0]), r"-1.0 in row \[1\]"),
        (torch.zeros(2, 2), torch.zeros(2, 2), torch.tensor([1.0, NAN]), r"nan in row \[1\]"),
    ],
)
def test_bad_inputs_raise(logits: Any, targets: Any, weight: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        focal_loss_with_pos_weight(logits, targets, gamma=2.0, alpha=0.25, sample_weight=weight)


@pytest.mark.parametrize("bad", [-1.0, 2.0, -1e-7, 1.0001, math.inf, -math.inf])
@pytest.mark.parametrize("beside", [0.0, 0.5, NAN])
@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_targets_outside_the_unit_interval_raise(bad: float, beside: float, reduction: Any) -> None:
    targets = torch.full((500, 300), beside)  # the bad one lies beyond the first block
    targets[400, 2] = bad
    with pytest.raises(InputError, match=r"targets must be in \[0, 1\].* at \[400, 2\]"):
        focal_loss_with_pos_weight(
            torch.zeros(500, 300), targets, gamma=2.0, alpha=0.25, reduction=reduction
        )


# The module.


def test_module_equals_the_function_and_carries_its_parameters() -> None:
    z, y = random_problem()
    weight = torch.rand(50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    pos_weight = np.array([1.0, 2.0, 3.0, 4.0])
    loss = FocalLossWithPosWeight(2.0, (0.1, 0.2, 0.3, 0.4), pos_weight, reduction="none")
    expected = focal_loss_with_pos_weight(
        z,
        y,
        gamma=2.0,
        alpha=torch.tensor((0.1, 0.2, 0.3, 0.4)),
        pos_weight=pos_weight,
        sample_weight=weight,
        reduction="none",
    )
    torch.testing.assert_close(loss(z, y, weight), expected)
    assert set(loss.state_dict()) == {"alpha", "pos_weight"}
    assert not list(loss.parameters())

    ones = np.ones(4)
    other = FocalLossWithPosWeight(2.0, (0.5,) * 4, ones, reduction="none")
    other.load_state_dict(loss.state_dict())
    torch.testing.assert_close(other(z, y, weight), expected)
    assert (ones == 1).all()
    assert loss.to("meta").pos_weight.device.type == "meta"
    assert "gamma=2.0" in repr(other)


def test_module_sees_every_change_of_its_parameters() -> None:
    z, y = random_problem()
    loss = FocalLossWithPosWeight(2.0, torch.full((4,), 0.25), torch.ones(4))

    def assert_follows() -> None:
        given = {"gamma": loss.gamma, "alpha": loss.alpha, "pos_weight": loss.pos_weight}
        expected = focal_loss_with_pos_weight(z, y, **given)
        torch.testing.assert_close(loss(z, y), expected, rtol=1e-12, atol=0)

    assert_follows()
    loss.pos_weight.mul_(2)
    assert_follows()
    loss.load_state_dict({"alpha": loss.alpha, "pos_weight": torch.tensor([1.0, 2.0, 3.0, 4.0])})
    assert_follows()
    loss.gamma = 3.0
    assert_follows()
    loss.pos_weight = torch.full((4,), 5.0)
    assert_follows()
    y[0, 0] = NAN  # the mean now has another denominator
    assert_follows()
    with torch.inference_mode():
        loss.pos_weight = torch.ones(4)
        assert_follows()
        loss.pos_weight.mul_(2)
        assert_follows()


def test_module_refuses_learnable_parameters() -> None:
    with pytest.raises(InputError, match="pos_weight requires a gradient"):
        FocalLossWithPosWeight(pos_weight=torch.ones(3, requires_grad=True))


def test_module_defaults() -> None:
    z, y = random_problem()
    torch.testing.assert_close(
        FocalLossWithPosWeight()(z, y), focal_loss_with_pos_weight(z, y, gamma=2.5, alpha=0.15)
    )


def test_module_posterior_undoes_the_loss() -> None:
    loss = FocalLossWithPosWeight(2.5, 0.15, [4.0, 10.0])
    probability = torch.tensor([[0.2, 0.7]], dtype=torch.float64)
    z = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([z], max_iter=200, tolerance_grad=1e-14, tolerance_change=0)

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        risk = loss(z, probability)  # linear in the target, so this is the expected loss
        risk.backward()
        return risk

    optimiser.step(closure)
    torch.testing.assert_close(loss.posterior(z.detach()), probability, rtol=1e-6, atol=0)
    torch.testing.assert_close(
        loss.posterior_logits(z.detach()), torch.logit(probability), rtol=1e-5, atol=0
    )
