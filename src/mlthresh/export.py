"""A network with its thresholds as one file that runs without this library.

`export_onnx` writes ONNX, for ONNX Runtime in any language; `export_program` what
`torch.export.load` reads. Both take the network's input and return ``probabilities`` and
``decisions``, for any number of rows, and both carry one JSON text: class names, thresholds,
posterior, preprocessing and metadata.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from mlthresh import __version__
from mlthresh._files import replacing
from mlthresh.exceptions import InputError
from mlthresh.posterior import stable_sigmoid
from mlthresh.thresholded_model import ThresholdedModel

__all__ = ["export_onnx", "export_program"]

_FORMAT = "mlthresh.export"
_VERSION = 1
_KEY = "mlthresh"  # in the ONNX file's metadata; the other's extra file has the suffix .json
_INPUT, _OUTPUTS = "input", ("probabilities", "decisions")
_OPSET = 18  # the oldest that PyTorch's exporter writes without converting


def export_onnx(
    thresholded_model: ThresholdedModel, path: str | os.PathLike[str], example: Tensor
) -> None:
    """Write a network with its thresholds as an ONNX file (opset 18).

    The input is called ``input``; the outputs are ``probabilities``, in the data type of the
    scores that were tuned, and ``decisions`` (bool), taken in that type. The file's metadata
    holds under ``mlthresh`` a JSON text; see the example for reading it.

    Parameters
    ----------
    thresholded_model : ThresholdedModel
        It is exported in evaluation mode, with its ``preprocessing`` and ``metadata``. Its mode
        and weights stay as they are.
    path : path
        An existing file is replaced, once the new one is whole.
    example : Tensor of shape (n_samples, ...)
        An input of the network, on its device: shape and data type count, the values do not. All
        sizes but the first are fixed.

    Raises
    ------
    InputError
        If the example is no tensor with at least one row, or the preprocessing or metadata is
        more than JSON can hold.
    ImportError
        If onnx or onnxscript is not installed.

    Notes
    -----
    ONNX Runtime's own sigmoid is far off below -15 in float32, and its exporter's ``log1p`` and
    ``expm1`` lose their digits near 0. The scores are therefore computed from ``exp`` and ``log``
    in float64, and agree with PyTorch's to the last digits; a score within rounding error of its
    threshold may still fall on the other side. The network itself computes in its own precision.

    A file can't raise: where the network returns NaN the probability is NaN and the decision
    False, which must not be read as "absent". Check for it.

    Examples
    --------
    >>> import json, pathlib, tempfile
    >>> import numpy as np, torch
    >>> from mlthresh import ThresholdedModel, ThresholdSet, find_optimal_thresholds
    >>> labels, scores = np.eye(2), np.array([[0.9, 0.2], [0.6, 0.7]], dtype=np.float32)
    >>> thresholds = find_optimal_thresholds(labels, scores, class_names=["DR", "MH"])
    >>> deployed = ThresholdedModel(torch.nn.Linear(3, 2), thresholds)
    >>> import onnxruntime  # doctest: +SKIP
    >>> export_onnx(deployed, "model.onnx", torch.zeros(1, 3))  # doctest: +SKIP
    >>> session = onnxruntime.InferenceSession("model.onnx")  # doctest: +SKIP
    >>> probabilities, decisions = session.run(None, {"input": x})  # doctest: +SKIP
    >>> about = json.loads(
    ...     session.get_modelmeta().custom_metadata_map["mlthresh"]
    ... )  # doctest: +SKIP
    >>> about["class_names"]  # doctest: +SKIP
    ['DR', 'MH']
    >>> ThresholdSet.from_dict(about["thresholds"]).thresholds  # doctest: +SKIP
    array([0.75, 0.45], dtype=float32)
    """
    served, rows, about = _prepared(thresholded_model, example)
    translations = _exact_translations()
    with _evaluating(served):
        program = torch.onnx.export(
            served,
            (rows,),
            dynamo=True,
            opset_version=_OPSET,
            input_names=[_INPUT],
            output_names=list(_OUTPUTS),
            dynamic_shapes=_any_number_of_rows(),
            custom_translation_table=translations,
            verbose=False,
        )
    if program is None:  # of the older exporter, as its type has it
        raise RuntimeError("torch.onnx.export returned nothing")
    program.model.metadata_props[_KEY] = about
    with replacing(path) as temporary:
        program.save(temporary, external_data=False)


def export_program(
    thresholded_model: ThresholdedModel, path: str | os.PathLike[str], example: Tensor
) -> None:
    """Write a network with its thresholds as a file for `torch.export.load` (``.pt2``).

    Its module returns (probabilities, decisions) as `ThresholdedModel` does, on the device of
    `example`; the JSON text is in the extra file ``mlthresh.json``. Load such files only from
    sources that you trust: `torch.export.load` may run code that it finds in one.

    Parameters
    ----------
    thresholded_model : ThresholdedModel
        It is exported in evaluation mode, with its ``preprocessing`` and ``metadata``. Its mode
        and weights stay as they are.
    path : path
        An existing file is replaced, once the new one is whole.
    example : Tensor of shape (n_samples, ...)
        An input of the network, on its device: shape and data type count, the values do not, and
        they are not stored. All sizes but the first are fixed.

    Raises
    ------
    InputError
        If the example is no tensor with at least one row, or the preprocessing or metadata is
        more than JSON can hold.

    Notes
    -----
    Where the network returns NaN the probability is NaN and the decision False, which must not
    be read as "absent". Check for it.

    Examples
    --------
    >>> import json, pathlib, tempfile
    >>> import numpy as np, torch
    >>> from mlthresh import ThresholdedModel, ThresholdSet, find_optimal_thresholds
    >>> labels, scores = np.eye(2), np.array([[0.9, 0.2], [0.6, 0.7]], dtype=np.float32)
    >>> thresholds = find_optimal_thresholds(labels, scores, class_names=["DR", "MH"])
    >>> deployed = ThresholdedModel(torch.nn.Identity(), thresholds)
    >>> extra = {"mlthresh.json": ""}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "model.pt2"
    ...     export_program(deployed, path, torch.zeros(1, 2))
    ...     program = torch.export.load(path, extra_files=extra)
    >>> program.module()(torch.tensor([[3.0, -3.0]]))
    (tensor([[0.9526, 0.0474]]), tensor([[ True, False]]))
    >>> about = json.loads(extra["mlthresh.json"])
    >>> about["class_names"]
    ['DR', 'MH']
    >>> ThresholdSet.from_dict(about["thresholds"]).thresholds
    array([0.75, 0.45], dtype=float32)
    """
    served, rows, about = _prepared(thresholded_model, example)
    with _evaluating(served):
        program = torch.export.export(served, (rows,), dynamic_shapes=_any_number_of_rows())
    for name, value in list(program.state_dict.items()):
        if value.untyped_storage().nbytes() != value.nbytes or not value.is_contiguous():
            program.state_dict[name] = value.clone(memory_format=torch.contiguous_format)
    content = io.BytesIO()
    torch.export.save(program, content, extra_files={f"{_KEY}.json": about})
    with replacing(path) as temporary:
        temporary.write_bytes(content.getvalue())


class _Served(nn.Module):
    """The model with its thresholds as numbers and a sigmoid that every runtime computes alike."""

    _thresholds: Tensor

    def __init__(self, deployed: ThresholdedModel, device: torch.device) -> None:
        super().__init__()
        self.deployed = deployed
        values = torch.tensor(deployed.thresholds.thresholds, device=device)
        self.register_buffer("_thresholds", values, persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.deployed.decide(self.deployed.model(x), self._thresholds, _sigmoid)


def _sigmoid(x: Tensor) -> Tensor:
    return stable_sigmoid(torch, x.to(torch.float64)).to(x.dtype)  # type: ignore[no-any-return]


def _prepared(thresholded_model: Any, example: Any) -> tuple[_Served, Tensor, str]:
    """Return what is traced, two rows to trace it with, and the text that goes with it."""
    if not isinstance(thresholded_model, ThresholdedModel):
        raise InputError(
            f"expected a ThresholdedModel, got {type(thresholded_model).__name__}: thresholds "
            "and network are exported together"
        )
    if not isinstance(example, Tensor) or example.ndim == 0 or len(example) == 0:
        got = tuple(example.shape) if isinstance(example, Tensor) else type(example).__name__
        raise InputError(f"example must be a tensor with at least one row, got {got}")
    about = _about(thresholded_model)
    # Two rows: tracing takes a size of 1 for a constant. Zeros: nobody's photograph is stored.
    rows = torch.zeros(2, *example.shape[1:], dtype=example.dtype, device=example.device)
    return _Served(thresholded_model, example.device), rows, about


def _about(model: ThresholdedModel) -> str:
    content = {
        "format": _FORMAT,
        "version": _VERSION,
        "mlthresh": __version__,
        "class_names": model.thresholds.class_names,
        "thresholds": model.thresholds.to_dict(),
        "posterior": None if model.posterior is None else model.posterior.to_dict(),
        "preprocessing": model.preprocessing,
        "metadata": model.metadata,
    }
    try:
        return json.dumps(content, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"preprocessing and metadata must be what JSON can hold: {error}"
        ) from error


def _any_number_of_rows() -> tuple[dict[int, Any]]:
    return ({0: torch.export.Dim("batch")},)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Put every module in evaluation mode without gradients, and back."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True


def _exact_translations() -> dict[Any, Any]:
    """Return ONNX expressions for what the exporter would write as log(1 + x) and exp(x) - 1.

    With u = 1 + x as rounded, log1p(x) = log(u) x / (u - 1) to the last digits, and expm1 is its
    mirror image (Kahan; Higham, *Accuracy and Stability of Numerical Algorithms*, 1.14.1).
    The parameter is called `self` as in PyTorch's operators: releases that compare the names
    (2.9 does) silently pass over a function with another.
    """
    try:
        import onnx  # noqa: F401  # torch.onnx needs it, and says so less clearly
        import onnxscript
    except ImportError as error:
        raise ImportError(
            "exporting to ONNX needs onnx and onnxscript: pip install 'mlthresh[export]'"
        ) from error
    op = getattr(onnxscript, f"opset{_OPSET}")

    def log1p(self: Any) -> Any:
        one = op.CastLike(1.0, self)
        u = op.Add(self, one)
        quotient = op.Mul(op.Log(u), op.Div(self, op.Sub(u, one)))
        at_large = op.Where(op.Equal(u, self), op.Log(u), quotient)
        return op.Where(op.Equal(u, one), self, at_large)

    def expm1(self: Any) -> Any:
        one, zero = op.CastLike(1.0, self), op.CastLike(0.0, self)
        u = op.Exp(self)
        rest = op.Sub(u, one)
        quotient = op.Mul(rest, op.Div(self, op.Log(u)))
        at_large = op.Where(op.Equal(u, rest), u, quotient)
        return op.Where(op.Equal(u, one), self, op.Where(op.Equal(u, zero), op.Neg(one), at_large))

    return {torch.ops.aten.log1p.default: log1p, torch.ops.aten.expm1.default: expm1}
