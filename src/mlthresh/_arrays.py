"""Validation of what users pass: arrays, tensors and data frames become checked NumPy arrays.

Tensors, sparse matrices and what pandas calls missing are recognised through `sys.modules`, so
nothing is imported for a user who does not use it. Checks run over blocks of rows and make no copy
of the whole input.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mlthresh.exceptions import InputError

__all__ = [
    "FloatArray",
    "as_float64",
    "as_groups",
    "as_labels",
    "as_sample_weight",
    "as_scores",
    "convert_like",
    "entry_name",
    "is_tensor",
    "matched_class_names",
    "per_class",
    "row_blocks",
    "shown_names",
    "to_numpy",
    "weights_like",
]

FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]

_BLOCK_ELEMENTS = 1 << 18  # a block's temporaries stay within the processor's cache


def is_tensor(value: object) -> bool:
    """Tell whether `value` is a torch tensor, without importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _is_frame(value: object) -> bool:
    """Tell whether `value` is a pandas or polars data frame, without importing either."""
    return hasattr(value, "columns") and hasattr(value, "to_numpy")


def _is_sparse(value: object) -> bool:
    """Tell whether `value` is a sparse matrix or array of SciPy's, without importing SciPy."""
    sparse = sys.modules.get("scipy.sparse")
    return sparse is not None and bool(sparse.issparse(value))


def _is_missing(array: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Tell which entries are NaN, NaT, None or what pandas calls missing."""
    if array.dtype == object:
        pandas = sys.modules.get("pandas")
        if pandas is not None:
            return np.asarray(pandas.isna(array))
        missing = [entry is None or entry != entry for entry in array.flat]
        return np.array(missing, dtype=bool).reshape(array.shape)
    return np.isnan(array) if array.dtype.kind in "fmM" else np.zeros(array.shape, dtype=bool)


def to_numpy(value: Any, name: str) -> tuple[npt.NDArray[Any], tuple[str, ...] | None]:
    """Return `value` as a NumPy array, and its column names where it is a frame."""
    if isinstance(value, np.ma.MaskedArray):
        raise InputError(f"{name} is a masked array, whose mask would be lost; fill it with NaN")
    if isinstance(value, np.ndarray):
        return np.asarray(value), None  # a memory map as the plain array that it is
    if is_tensor(value):
        tensor = value.detach().cpu()
        torch = sys.modules["torch"]
        if tensor.dtype == torch.bfloat16:  # NumPy has no such type; float32 holds each value
            tensor = tensor.float()
        return tensor.numpy(), None
    if _is_frame(value):
        columns = tuple(value.columns)
        named = all(isinstance(column, str) for column in columns)  # pandas counts unnamed ones
        return np.asarray(value.to_numpy()), columns if named else None
    if _is_sparse(value):
        return np.asarray(value.toarray()), None
    try:
        return np.asarray(value), None
    except ValueError as error:  # ragged lists
        raise InputError(f"{name} must be a rectangular array: {error}") from error


def convert_like(array: npt.NDArray[Any], template: Any) -> Any:
    """Return `array` as the template's kind; tensors keep their device, frames their labels."""
    if is_tensor(template):
        return sys.modules["torch"].as_tensor(array, device=template.device)
    if _is_frame(template):
        # pandas keeps its index too; a polars frame has none.
        labels = {"index": template.index} if hasattr(template, "index") else {}
        columns = {"columns" if labels else "schema": list(template.columns)}
        return type(template)(array, **labels, **columns)
    if _is_sparse(template):
        return type(template)(array)
    return array


def weights_like(weights: npt.NDArray[np.float64], labels: Any) -> Any:
    """Return float64 weights as they are, or for tensor labels as a tensor on their device.

    The tensor is float32, which suits losses and loaders and exists on every device, unless the
    labels are float64.
    """
    if not is_tensor(labels):
        return weights
    is_double = labels.dtype == sys.modules["torch"].float64
    return convert_like(weights if is_double else weights.astype(np.float32), labels)


def row_blocks(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Return slices of rows that are quick to work on, one after another."""
    step = max(1, _BLOCK_ELEMENTS // max(1, n_columns))
    return (slice(start, start + step) for start in range(0, n_rows, step))


def _as_matrix(value: Any, name: str) -> tuple[npt.NDArray[Any], tuple[str, ...] | None]:
    array, columns = to_numpy(value, name)
    if array.ndim != 2:
        hint = "; pass a single class as a column, x[:, None]" if array.ndim == 1 else ""
        raise InputError(
            f"{name} must have shape (n_samples, n_classes), got shape {array.shape}{hint}"
        )
    if array.shape[1] == 0:
        raise InputError(f"{name} has no columns: shape {array.shape}")
    if array.dtype == object:  # a frame with mixed columns, or with missing entries
        try:
            array = np.where(_is_missing(array), np.nan, array).astype(np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"{name} must be numeric, got dtype object: {error}") from error
    if array.dtype.kind not in "biuf":
        raise InputError(f"{name} must be boolean, integer or float, got dtype {array.dtype}")
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    return array.astype(array.dtype.newbyteorder("="), copy=False), columns


def entry_name(name: str, row: int, column: int, columns: tuple[str, ...] | None) -> str:
    """Return how a message names one entry of an argument."""
    label = f" ({columns[column]!r})" if columns else ""
    return f"{name}[{row}, {column}]{label}"


def as_labels(labels: Any, name: str = "labels") -> tuple[npt.NDArray[Any], tuple[str, ...] | None]:
    """Return a matrix whose entries are 0, 1 or (floats only) NaN, and a frame's column names.

    The data type is kept, so that no copy is made.
    """
    array, columns = _as_matrix(labels, name)
    if array.dtype == bool:
        return array, columns
    for rows in row_blocks(*array.shape):
        block = array[rows]
        if array.dtype.kind != "f" and block.min() >= 0 and block.max() <= 1:
            continue
        bad = (block != 0) & (block != 1)
        if not bad.any():
            continue
        if array.dtype.kind == "f":
            bad &= ~np.isnan(block)
        if bad.any():
            row, column = (int(i) for i in np.argwhere(bad)[0])
            raise InputError(
                f"{entry_name(name, rows.start + row, column, columns)} is {block[row, column]}; "
                "a label is 0, 1 or NaN (missing)"
            )
    return array, columns


def as_scores(
    scores: Any, shape: tuple[int, ...] | None = None, name: str = "y_score"
) -> tuple[FloatArray, tuple[str, ...] | None]:
    """Return a matrix of finite float32 or float64 scores, and a frame's column names."""
    array, columns = _as_matrix(scores, name)
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    if shape is not None and array.shape != shape:
        raise InputError(f"{name} has shape {array.shape}, but the labels have shape {shape}")
    for rows in row_blocks(*array.shape):
        block = array[rows]
        if not np.isfinite(block).all():
            row, column = (int(i) for i in np.argwhere(~np.isfinite(block))[0])
            raise InputError(
                f"{entry_name(name, rows.start + row, column, columns)} is {block[row, column]}; "
                "scores must be finite"
            )
    return array, columns


def as_sample_weight(
    sample_weight: Any, n_samples: int, name: str = "sample_weight", *, may_be_zero: bool = False
) -> npt.NDArray[np.float64] | None:
    """Return non-negative finite weights of shape (n_samples,), or None for equal weights.

    All of them may be zero only where other rows can follow.
    """
    if sample_weight is None:
        return None
    weight = as_float64(sample_weight, name)
    if weight.shape != (n_samples,):
        raise InputError(f"{name} must have shape ({n_samples},), got {weight.shape}")
    bad = ~(np.isfinite(weight) & (weight >= 0))
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(f"{name}[{row}] is {weight[row]}; weights are finite and not negative")
    if n_samples and not may_be_zero and not weight.any():
        raise InputError(f"{name} is zero in every row; some row must count")
    return weight


def as_groups(groups: Any, n_samples: int, name: str = "groups") -> npt.NDArray[np.intp] | None:
    """Return group codes 0, 1, ... of shape (n_samples,), or None where each row is its own."""
    if groups is None:
        return None
    array = to_numpy(groups, name)[0]
    if array.shape != (n_samples,):
        raise InputError(f"{name} must have shape ({n_samples},), got {array.shape}")
    missing = _is_missing(array)
    if missing.any():
        row = int(np.argmax(missing))
        raise InputError(
            f"{name}[{row}] is {array[row]}: such rows are no group; give each one of its own"
        )
    try:
        return np.unique(array, return_inverse=True)[1]
    except TypeError as error:
        raise InputError(f"{name} must be of one kind that can be sorted: {error}") from error


def matched_class_names(
    n_classes: int,
    class_names: Sequence[str] | None,
    *columns: tuple[str, ...] | None,
) -> tuple[str, ...] | None:
    """Return the one set of class names that all sources agree on, or None without any."""
    found: tuple[str, ...] | None = None
    if isinstance(class_names, str):
        raise InputError(f"class_names must be a sequence of names, got the string {class_names!r}")
    given = None if class_names is None else tuple(str(name) for name in class_names)
    for names in (given, *columns):
        if names is None:
            continue
        if len(names) != n_classes:
            raise InputError(f"got {len(names)} class names for {n_classes} classes: {names}")
        if len(set(names)) != n_classes:
            twice = sorted({name for name in names if names.count(name) > 1})
            raise InputError(f"class names must be unique; these occur more than once: {twice}")
        if found is not None and names != found:
            column = next(i for i in range(n_classes) if names[i] != found[i])
            raise InputError(
                f"class names disagree at column {column}: {found[column]!r} and {names[column]!r}"
            )
        found = names
    return found


def shown_names(class_names: Sequence[str] | None, n_classes: int) -> tuple[str, ...]:
    """Return the class names, or "class 0", "class 1", ... where none were given."""
    return tuple(class_names or (f"class {c}" for c in range(n_classes)))


def per_class(value: Any, n_classes: int, name: str) -> npt.NDArray[np.float64]:
    """Broadcast a number or one number per class to shape (n_classes,); NaN raises."""
    if isinstance(value, (int, float)) and value == value:
        return np.full(n_classes, value, dtype=np.float64)
    array = as_float64(value, name)
    if array.shape not in ((), (n_classes,)):
        raise InputError(f"{name} must be a number or have shape ({n_classes},), got {array.shape}")
    if np.isnan(array).any():
        raise InputError(f"{name} must not be NaN, got {value!r}")
    return np.full(n_classes, array)


def as_float64(value: Any, name: str) -> npt.NDArray[np.float64]:
    """Return numbers as a float64 array of their shape."""
    if isinstance(value, (int, float)):
        return np.array(value, dtype=np.float64)
    array = to_numpy(value, name)[0]
    try:
        return np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be numeric, got {value!r}") from error
