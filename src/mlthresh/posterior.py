r"""Probabilities from the logits of a network that was trained with the focal loss.

Focal weighting, alpha and pos_weight all distort what the sigmoid of a logit means. With z a
logit, w = pos_weight, a1 = alpha w and a0 = 1 - alpha (w and 1 without alpha), the loss

    L = y a1 sigmoid(-z)^gamma softplus(-z) + (1 - y) a0 sigmoid(z)^gamma softplus(z)

is smallest in expectation where the probability eta of a positive label satisfies

    logit eta = log A(-z) - log A(z) - log(a1 / a0),
    A(z) = sigmoid(-z)^gamma (sigmoid(-z) + gamma sigmoid(z) softplus(-z)).

This is a strictly increasing function of z, so it changes no ranking. It speaks of the loss's
minimiser: a network that has not reached it still needs a check on held-out data.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import is_tensor, to_numpy
from mlthresh.exceptions import InputError

if TYPE_CHECKING:
    import torch

__all__ = ["FocalPosterior", "focal_posterior", "focal_posterior_logits"]

Logits = TypeVar("Logits", npt.NDArray[Any], "torch.Tensor")
PerClass: TypeAlias = "float | npt.ArrayLike | torch.Tensor"

_WITHOUT_FLOAT64 = {"mps"}  # types of device; float32 would lose what increasing needs
_FLAT = 500.0  # beyond it the correction is constant in float64, and exp(-_FLAT) is still normal


def focal_posterior_logits(
    logits: Logits,
    *,
    gamma: PerClass,
    alpha: PerClass | None,
    pos_weight: PerClass | None = None,
) -> Logits:
    """Return the log-odds of a positive label that focal-loss logits stand for.

    It never decreases in the logit, and unlike the probability it does not saturate: rank and
    tune thresholds on it. The arithmetic is float64 whatever the input, on the CPU for a device
    without float64 (MPS).

    Parameters
    ----------
    logits : array or tensor, shape (..., n_classes)
        The network's outputs.
    gamma, alpha, pos_weight : float or shape (n_classes,)
        The loss's parameters, as for `mlthresh.focal_loss_with_pos_weight`.

    Returns
    -------
    array or tensor
        Of the shape and the library of `logits`: float64 for float64 and integers, else float32.

    Raises
    ------
    InputError
        If a parameter is out of its domain or does not fit the number of classes.

    Examples
    --------
    >>> import numpy as np
    >>> focal_posterior_logits(np.array([-2.0, 0.0, 2.0]), gamma=2.0, alpha=0.25).round(3)
    array([-4.3  ,  1.099,  6.497])
    """
    return FocalPosterior(gamma, alpha, pos_weight).logits(logits)


def focal_posterior(
    logits: Logits,
    *,
    gamma: PerClass,
    alpha: PerClass | None,
    pos_weight: PerClass | None = None,
) -> Logits:
    """Return the probability of a positive label that focal-loss logits stand for.

    The sigmoid of `focal_posterior_logits`. Many different logits share the float32 probability
    1, so rank and tune thresholds on the log-odds instead.

    Parameters
    ----------
    logits : array or tensor, shape (..., n_classes)
        The network's outputs.
    gamma, alpha, pos_weight : float or shape (n_classes,)
        The loss's parameters, as for `mlthresh.focal_loss_with_pos_weight`.

    Returns
    -------
    array or tensor
        In [0, 1]; shape, library and dtype as for `focal_posterior_logits`.

    Raises
    ------
    InputError
        If a parameter is out of its domain or does not fit the number of classes.

    Examples
    --------
    >>> import numpy as np
    >>> focal_posterior(np.array([-2.0, 0.0, 2.0]), gamma=2.0, alpha=0.25).round(3)
    array([0.013, 0.75 , 0.998])
    """
    return FocalPosterior(gamma, alpha, pos_weight)(logits)


@dataclass(frozen=True)
class FocalPosterior:
    """The map from focal-loss logits to probabilities, as a value that can be stored.

    Parameters
    ----------
    gamma, alpha, pos_weight : float or shape (n_classes,)
        The loss's parameters; arrays and tensors become tuples of floats. ``alpha=None`` and
        ``pos_weight=None`` stand for a loss without them.

    Raises
    ------
    InputError
        If a parameter is out of its domain, or two of them disagree on the number of classes.

    Examples
    --------
    >>> import numpy as np
    >>> posterior = FocalPosterior(gamma=2.0, alpha=0.25, pos_weight=[1.0, 10.0])
    >>> posterior(np.zeros((1, 2))).round(3)
    array([[0.75 , 0.231]])
    >>> FocalPosterior.from_dict(posterior.to_dict()) == posterior
    True
    """

    gamma: PerClass
    alpha: PerClass | None
    pos_weight: PerClass | None = None

    def __post_init__(self) -> None:
        check_parameters(self.gamma, self.alpha, self.pos_weight)
        for name in ("gamma", "alpha", "pos_weight"):
            object.__setattr__(self, name, _as_plain(getattr(self, name), name))

    @property
    def n_classes(self) -> int | None:
        """The number of classes, or None where every parameter is a single number."""
        values = (self.gamma, self.alpha, self.pos_weight)
        return next((len(value) for value in values if isinstance(value, tuple)), None)

    def __call__(self, logits: Logits) -> Logits:
        """Return the probability of a positive label."""
        xp, values = _in_float64(logits)
        result: Logits = _rounded_like(logits, stable_sigmoid(xp, self._log_odds(xp, values)))
        return result

    def logits(self, logits: Logits) -> Logits:
        """Return the log-odds of a positive label."""
        xp, values = _in_float64(logits)
        result: Logits = _rounded_like(logits, self._log_odds(xp, values))
        return result

    def to_dict(self) -> dict[str, float | list[float] | None]:
        """Return the parameters as JSON has them: numbers, lists and None."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in vars(self).items()
        }

    @classmethod
    def from_dict(cls, values: Any) -> FocalPosterior:
        """Build the map from what `to_dict` returned; anything else raises `InputError`."""
        names = {"gamma", "alpha", "pos_weight"}
        if not isinstance(values, dict) or set(values) != names:
            raise InputError(f"a posterior has the entries {sorted(names)}, got {values!r}")
        return cls(**values)

    def _log_odds(self, xp: Any, z: Any) -> Any:
        if self.n_classes is not None and z.shape[-1:] != (self.n_classes,):
            raise InputError(
                f"the posterior has {self.n_classes} classes, but the logits have shape "
                f"{tuple(z.shape)}"
            )
        gamma = _constant(xp, self.gamma, z)
        pos_weight = 1.0 if self.pos_weight is None else self.pos_weight
        offset = np.log(pos_weight)  # log(a1 / a0)
        if self.alpha is not None:
            offset = offset + np.log(self.alpha) - np.log1p(-np.asarray(self.alpha))
        return _centred_log_odds(xp, z, gamma) - _constant(xp, offset, z)


def check_parameters(
    gamma: PerClass, alpha: PerClass | None, pos_weight: PerClass | None
) -> int | None:
    """Check the focal loss's parameters; return the number of classes that they speak of, if any.

    Raises
    ------
    InputError
        Unless gamma is finite and >= 0, alpha is between 0 and 1, pos_weight is finite and > 0,
        each a number or of shape (n_classes,), with one number of classes.
    """
    n_classes: int | None = None
    domains: dict[str, tuple[Any, str, Callable[[Any], Any]]] = {
        "gamma": (gamma, "finite and >= 0", lambda v: (v >= 0) & (v < np.inf)),
        "alpha": (alpha, "between 0 and 1, both excluded", lambda v: (v > 0) & (v < 1)),
        "pos_weight": (pos_weight, "finite and > 0", lambda v: (v > 0) & (v < np.inf)),
    }
    for name, (given, domain, is_valid) in domains.items():
        if given is None and name != "gamma":
            continue
        # Plain numbers are checked first: that costs a call of the loss much less than arrays.
        if isinstance(given, (int, float)) and is_valid(given):
            continue
        size: int | None
        if is_tensor(given) and given.ndim == 1 and all(map(is_valid, values := given.tolist())):
            size = len(values)
        else:
            size = _checked_size(given, name, domain, is_valid)
        if size is not None:
            if n_classes not in (None, size):
                raise InputError(f"{name} has {size} classes, another one has {n_classes}")
            n_classes = size
    return n_classes


def _checked_size(given: Any, name: str, domain: str, is_valid: Callable[[Any], Any]) -> int | None:
    """Return the number of entries, None for a single number; raise where a value is bad."""
    try:
        values = np.asarray(to_numpy(given, name)[0], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be a number or one per class, got {given!r}") from error
    valid = is_valid(values)
    if not valid.all():
        where = f" for class {int(np.argmin(valid))}" if values.ndim == 1 else ""
        raise InputError(f"{name} must be {domain}, got {values[~valid][0]}{where}")
    if values.ndim > 1:
        raise InputError(f"{name} must be a number or one per class, got shape {values.shape}")
    return len(values) if values.ndim else None


def _as_plain(value: Any, name: str) -> float | tuple[float, ...] | None:
    if value is None:
        return None
    array = np.asarray(to_numpy(value, name)[0], dtype=np.float64)
    return float(array) if array.ndim == 0 else tuple(array.tolist())


def _centred_log_odds(xp: Any, z: Any, gamma: Any) -> Any:
    """Return log A(-z) - log A(z).

    With m(z) = exp(z) softplus(-z), which rises from 0 to 1, this is
    (gamma + 1) z + log1p(gamma m(-z)) - log1p(gamma m(z)). It is odd in z, so t = |z| suffices,
    and m(t) - m(-t) is written so that no digits cancel: the result is increasing to the last
    float32 bit, also next to zero.
    """
    negative = z < 0
    t = xp.where(negative, -z, z)
    flat = xp.clip(t, None, _FLAT)
    e = xp.exp(-flat)
    softplus = xp.log1p(e)
    lower = e * (flat + softplus)  # m(-t)
    gap = -xp.expm1(-2 * flat) * (softplus / e) - flat * e  # m(t) - m(-t)
    odd = (gamma + 1) * t - xp.log1p(gamma * gap / (1 + gamma * lower))
    return xp.where(negative, -odd, odd)


def stable_sigmoid(xp: Any, x: Any) -> Any:
    """Return 1 / (1 + exp(-x)) of float64 values, with all digits at both ends."""
    e = xp.exp(-xp.abs(x))
    return xp.where(x < 0, e, 1.0) / (1 + e)


def _in_float64(logits: Any) -> tuple[Any, Any]:
    """Return the library of `logits`, and their values in float64."""
    if is_tensor(logits):
        torch = sys.modules["torch"]
        if logits.device.type in _WITHOUT_FLOAT64:
            logits = logits.cpu()
        return torch, logits.to(torch.float64)
    return np, np.asarray(logits, dtype=np.float64)


def _constant(xp: Any, value: Any, like: Any) -> Any:
    if xp is np:
        return np.asarray(value)
    return xp.as_tensor(value, dtype=xp.float64, device=like.device)


def _rounded_like(logits: Any, values: Any) -> Any:
    """Round float64 values to the result type of `logits`."""
    if is_tensor(logits):
        torch = sys.modules["torch"]
        narrow = logits.dtype.is_floating_point and logits.dtype != torch.float64
        if logits.device.type in _WITHOUT_FLOAT64:
            return values.to(torch.float32).to(logits.device)
        return values.to(torch.float32) if narrow else values
    dtype = np.asarray(logits).dtype
    if dtype.kind != "f" or dtype.itemsize >= np.dtype(np.float64).itemsize:
        return values
    with np.errstate(over="ignore"):  # (gamma + 1) z may pass the largest float32
        return values.astype(np.float32)
