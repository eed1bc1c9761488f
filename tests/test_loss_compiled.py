"""The focal loss under torch.compile: the same numbers, the same promises, little memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from mlthresh.losses import FocalLossWithPosWeight, focal_loss_with_pos_weight
from tests.test_losses import GAMMAS, NAN, naive_slope, random_problem

# PyTorch's compilers do what PyTorch deprecates, those of 2.13 for one.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

WEIGHTS = torch.tensor([1.0, 2.0, 3.0, 4.0])


@pytest.fixture(autouse=True)
def empty_cache() -> Iterator[None]:
    torch.compiler.reset()  # a function is compiled a limited number of times
    yield
    torch.compiler.reset()


def compiled(function: Any, backend: str = "aot_eager", **options: Any) -> Any:
    return torch.compile(function, fullgraph=True, backend=backend, **options)


def value_and_gradient(loss: Any, z: torch.Tensor, *others: Any) -> tuple[Any, Any]:
    leaf = z.clone().requires_grad_()
    value = loss(leaf, *others)
    return value.detach(), torch.autograd.grad(value.sum(), leaf)[0]


@pytest.mark.parametrize(
    ("dtype", "reduction"),
    [
        (torch.float64, "none"),
        (torch.float32, "none"),
        (torch.float32, "sum"),
        (torch.float32, "mean"),
        (torch.bfloat16, "mean"),
        (torch.float16, "none"),
    ],
    ids=str,
)
def test_equals_eager(dtype: torch.dtype, reduction: Any) -> None:
    z, y = random_problem()
    z = z.to(dtype)
    y[1, 1] = 0.3
    y[:3, 0] = NAN
    z[:3, 0] = torch.tensor([NAN, math.inf, -math.inf])
    row_weight = torch.linspace(0, 2, 50)
    loss = FocalLossWithPosWeight(2.5, 0.15, WEIGHTS, reduction=reduction)
    actual = value_and_gradient(compiled(loss), z, y, row_weight)
    expected = value_and_gradient(loss, z, y, row_weight)
    assert [x.dtype for x in actual] == [x.dtype for x in expected]
    torch.testing.assert_close(actual, expected)
    assert (actual[1][:3, 0] == 0).all()


@pytest.mark.parametrize("target", [0.0, 1.0, 0.3])
def test_float32_gradient_is_accurate(target: float) -> None:
    z = torch.linspace(-30, 30, 1001)[:, None]
    y = torch.full_like(z, target)

    @compiled
    def loss(logits: torch.Tensor, gamma: torch.Tensor) -> torch.Tensor:
        return focal_loss_with_pos_weight(
            logits, y, gamma=gamma, alpha=0.15, pos_weight=10.0, reduction="sum"
        )

    for gamma in (*GAMMAS, 50.0, 1000.0):
        _, gradient = value_and_gradient(loss, z, torch.tensor(gamma))
        for z_i, actual in zip(z.flatten().tolist(), gradient.flatten().tolist(), strict=True):
            up = target * 1.5 * naive_slope(z_i, gamma)
            down = -(1 - target) * 0.85 * naive_slope(-z_i, gamma)
            scale = max(abs(up), abs(down), 1e-30 if gamma <= 50 else 1e-20)
            assert abs(actual - (up + down)) <= 1e-5 * scale, (z_i, gamma)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_extreme_logits_stay_finite(dtype: torch.dtype) -> None:
    extremes = [-1e30, -1e4, -104.0, -88.0, 0.0, 88.0, 104.0, 1e4, 1e30]
    z = torch.tensor(extremes, dtype=dtype)[:, None].expand(-1, 3)
    y = torch.tensor([0.0, 1.0, 0.5], dtype=dtype).expand_as(z)

    @compiled
    def loss(logits: torch.Tensor, gamma: torch.Tensor) -> torch.Tensor:
        return focal_loss_with_pos_weight(logits, y, gamma=gamma, alpha=None, reduction="none")

    for gamma in GAMMAS:
        value, gradient = value_and_gradient(loss, z, torch.tensor(gamma, dtype=dtype))
        assert value.isfinite().all()
        assert gradient.isfinite().all()
        torch.testing.assert_close(gradient[0, 1], torch.tensor(-1.0, dtype=dtype))
        torch.testing.assert_close(gradient[-1, 0], torch.tensor(1.0, dtype=dtype))


def test_half_precision_slopes_are_scaled_before_they_are_rounded() -> None:
    z, y = torch.full((2, 3), -7.0), torch.zeros(2, 3)

    def loss(logits: torch.Tensor) -> torch.Tensor:
        return 2.0**16 * focal_loss_with_pos_weight(
            logits, y, gamma=2.0, alpha=None, reduction="sum"
        )

    _, half = value_and_gradient(compiled(loss), z.half())
    torch.testing.assert_close(half.float(), value_and_gradient(loss, z)[1], rtol=1e-3, atol=0)


def test_shapes_may_vary() -> None:
    loss = FocalLossWithPosWeight(2.5, 0.15, WEIGHTS)
    varying = compiled(loss, dynamic=True)
    for rows in (8, 50):
        z, y = (x[:rows] for x in random_problem())
        torch.testing.assert_close(
            value_and_gradient(varying, z, y), value_and_gradient(loss, z, y)
        )


def compilation_is_told_from_export() -> bool:
    """Tell whether PyTorch does, as 2.9 does not: there, compilers get composed operations."""
    told = torch.compile(lambda x: x + torch.compiler.is_exporting(), backend="eager")
    return bool(told(torch.zeros(())) == 0)


@pytest.mark.parametrize(
    ("options", "weighted"),
    [({}, False), ({"gamma": WEIGHTS}, False), ({"pos_weight": WEIGHTS}, True)],
    ids=["plain", "gamma", "weights"],
)
def test_keeps_one_tensor_for_backward(options: dict[str, Any], weighted: bool) -> None:
    if not compilation_is_told_from_export():
        pytest.skip("this PyTorch takes a compilation for an export")
    z, y = (x.float() for x in random_problem())
    z.requires_grad_()
    row_weight = torch.ones(50) if weighted else None
    given = {x.data_ptr() for x in (z, y, row_weight, *options.values()) if x is not None}
    kept = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.data_ptr()] = tensor.nbytes
        return tensor

    loss = compiled(FocalLossWithPosWeight(**options), backend="aot_eager_decomp_partition")
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss(z, y, row_weight).backward()
    extra = sum(size for address, size in kept.items() if address not in given)
    assert extra <= z.nbytes + 100  # and a few scalars or parameters


# Other derivatives and transforms.


def test_everything_else_is_differentiable_too() -> None:
    z, y = random_problem()
    y = 0.8 * y + 0.1
    arguments = (z, y, WEIGHTS.double(), torch.linspace(0, 2, 50, dtype=torch.float64))
    for learnt in range(1, 4):
        torch.compiler.reset()
        given = [x.clone().requires_grad_(i in (0, learnt)) for i, x in enumerate(arguments)]

        def loss(*x: torch.Tensor) -> torch.Tensor:
            return focal_loss_with_pos_weight(
                x[0], x[1], gamma=x[2], alpha=0.25, sample_weight=x[3]
            )

        wanted = (given[0], given[learnt])
        torch.testing.assert_close(
            torch.autograd.grad(compiled(loss)(*given), wanted),
            torch.autograd.grad(loss(*given), wanted),
        )


def test_second_derivatives_raise() -> None:
    z, y = random_problem()
    z.requires_grad_()
    loss = compiled(FocalLossWithPosWeight(2.5, 0.15), backend="aot_eager_decomp_partition")(z, y)
    (slopes,) = torch.autograd.grad(loss, z, create_graph=True)
    with pytest.raises(RuntimeError, match="double backward"):
        (loss + slopes.square().sum()).backward()


def test_functional_transforms_inside() -> None:
    z, y = random_problem(shape=(4, 3))
    z[0] = 0.0  # where a formula that autograd must not enter would show

    def loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return focal_loss_with_pos_weight(logits, targets, gamma=2.5, alpha=0.15, pos_weight=2.0)

    for transformed in (
        torch.func.grad(loss),
        torch.vmap(torch.func.grad(loss)),
        torch.func.jacrev(torch.func.grad(loss)),
    ):
        torch.testing.assert_close(compiled(transformed)(z, y), transformed(z, y))


@pytest.mark.parametrize("strict", [False, True])
def test_an_exported_loss_has_its_gradient(strict: bool) -> None:
    z, y = random_problem()
    z[0] = 0.0  # the same
    loss = FocalLossWithPosWeight(2.5, 0.15, WEIGHTS)
    exported = torch.export.export(loss, (z, y), strict=strict).module()
    torch.testing.assert_close(value_and_gradient(exported, z, y), value_and_gradient(loss, z, y))
