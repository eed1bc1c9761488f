"""A cosine schedule that keeps the ratio of the groups' learning rates."""

from __future__ import annotations

import math
from functools import partial

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from mlthresh._scalars import as_integer, as_number
from mlthresh.exceptions import InputError

__all__ = ["ratio_cosine_schedule"]


def ratio_cosine_schedule(optimizer: Optimizer, *, t_max: int, eta_min: float) -> LRScheduler:
    """Anneal by a cosine that all groups share, so that the ratio of their rates stays.

    After t steps a group's rate is its initial rate times

        f(t) = r + (1 - r) (1 + cos(pi min(t, t_max) / t_max)) / 2,    r = eta_min / lr_head

    From `t_max` on it stays at the minimum. For a single group this is torch's
    ``CosineAnnealingLR`` up to `t_max`; with several, that one takes every group down to the
    same `eta_min`, so that their ratio decays to 1, and raises the rates again after `t_max`.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
    t_max : int >= 1
        Steps until the minimum; a step is whatever ``scheduler.step()`` is called for.
    eta_min : float >= 0
        The smallest rate of the head: of the group whose ``name`` is "head" (or "head_no_decay")
        or, without one, of the group with the largest rate.

    Returns
    -------
    torch.optim.lr_scheduler.LRScheduler
        Its state is resumed by ``load_state_dict``, as with any other; `t_max` and `eta_min` are
        those of this call.

    Raises
    ------
    InputError
        If `eta_min` is above the head's rate, or a number is outside its domain.

    Examples
    --------
    >>> import torch
    >>> weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    >>> optimizer = torch.optim.SGD(
    ...     [
    ...         {"params": weights[:1], "lr": 0.01, "name": "backbone"},
    ...         {"params": weights[1:], "lr": 0.12, "name": "head"},
    ...     ]
    ... )
    >>> scheduler = ratio_cosine_schedule(optimizer, t_max=2, eta_min=0.012)
    >>> for _ in range(4):
    ...     print([round(group["lr"], 4) for group in optimizer.param_groups])
    ...     optimizer.step()
    ...     scheduler.step()
    [0.01, 0.12]
    [0.0055, 0.066]
    [0.001, 0.012]
    [0.001, 0.012]
    """
    t_max = as_integer(t_max, "t_max", 1)
    eta_min = as_number(eta_min, "eta_min", at_least=0)
    groups = optimizer.param_groups
    head = [g for g in groups if g.get("name") in ("head", "head_no_decay")] or groups
    head_lr = max(float(group.get("initial_lr", group["lr"])) for group in head)
    if eta_min > head_lr:
        raise InputError(f"eta_min={eta_min} is above the head's learning rate {head_lr}")
    floor = eta_min / head_lr if head_lr > 0 else 0.0
    return LambdaLR(optimizer, partial(_cosine_factor, t_max=t_max, floor=floor))


def _cosine_factor(step: int, *, t_max: int, floor: float) -> float:
    # sin^2, for 1 + cos cancels near the end, where the floor is small beside it
    remaining = max(t_max - step, 0) / t_max
    return floor + (1 - floor) * math.sin(math.pi / 2 * remaining) ** 2
