"""Exported files give the scores and decisions of the network they were made from."""

from __future__ import annotations

import json
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mlthresh.exceptions import FileFormatError, InputError
from mlthresh.export import export_onnx, export_program
from mlthresh.posterior import FocalPosterior
from mlthresh.threshold_set import ThresholdSet
from mlthresh.thresholded_model import ThresholdedModel
from tests.deployed import INPUTS, Network, make_thresholds

POSTERIOR = FocalPosterior(2.5, 0.15, [1.0, 5.0, 10.0])
EXAMPLE = torch.zeros(1, 4)


def run_onnx(path: Path, x: torch.Tensor) -> list[np.ndarray[Any, Any]]:
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(["probabilities", "decisions"], {"input": x.numpy()})


def run_program(path: Path, x: torch.Tensor) -> list[np.ndarray[Any, Any]]:
    with path.open("rb") as stream:
        module = torch.export.load(stream).module()
    return [output.detach().numpy() for output in module(x)]


def write(kind: str, model: ThresholdedModel, path: Path, example: torch.Tensor = EXAMPLE) -> None:
    if kind == "onnx":
        pytest.importorskip("onnxscript")
        export_onnx(model, path, example)
    else:
        export_program(model, path, example)


def about(kind: str, path: Path) -> dict[str, Any]:
    if kind == "onnx":
        session = pytest.importorskip("onnxruntime").InferenceSession(path)
        return json.loads(session.get_modelmeta().custom_metadata_map["mlthresh"])
    extra = {"mlthresh.json": ""}
    with path.open("rb") as stream:
        torch.export.load(stream, extra_files=extra)
    return json.loads(extra["mlthresh.json"])


RUN = {"onnx": run_onnx, "program": run_program}
KINDS = pytest.mark.parametrize("kind", ["onnx", "program"])


class Logits(nn.Module):
    """Returns its input: logits of any size."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 1.0


@KINDS
@pytest.mark.parametrize(
    ("posterior", "scale", "dtype"),
    [
        (None, "probability", np.float32),
        (None, "real", np.float64),
        (POSTERIOR, "real", np.float32),
        (POSTERIOR, "probability", np.float64),
    ],
    ids=["sigmoid-32", "logits-64", "log-odds-32", "posterior-64"],
)
def test_scores_and_decisions_are_the_models(
    tmp_path: Path, kind: str, posterior: Any, scale: Any, dtype: Any
) -> None:
    values = [0.3, 0.8, np.inf] if scale == "probability" else [-0.4, 1.2, np.inf]
    model = ThresholdedModel(Logits(), make_thresholds(values, dtype, scale), posterior=posterior)
    x = 6 * torch.randn(400, 3, generator=torch.Generator().manual_seed(3))
    path = tmp_path / "model"
    write(kind, model, path, x[:1])
    probabilities, decisions = RUN[kind](path, x)
    wanted, decided = (output.numpy() for output in model(x))
    assert probabilities.dtype == wanted.dtype == dtype
    np.testing.assert_allclose(probabilities, wanted, rtol=1e-6, atol=0)
    np.testing.assert_array_equal(decisions, decided)
    assert decisions[:, :2].any()
    assert not decisions[:, :2].all()
    assert not decisions[:, 2].any()


@pytest.mark.parametrize("posterior", [None, POSTERIOR], ids=["sigmoid", "posterior"])
def test_onnx_keeps_the_digits_of_extreme_scores(tmp_path: Path, posterior: Any) -> None:
    grid = torch.linspace(-80, 80, 1601)
    near_zero = torch.logspace(-12, 0, 40)
    column = torch.cat([grid, near_zero, -near_zero, torch.zeros(1)])
    x = column[:, None].expand(-1, 3).contiguous()
    model = ThresholdedModel(
        Logits(), make_thresholds(dtype=np.float64, scale="real"), posterior=posterior
    )
    write("onnx", model, tmp_path / "model.onnx", x)
    probabilities, _ = run_onnx(tmp_path / "model.onnx", x)
    np.testing.assert_allclose(probabilities, model(x)[0].numpy(), rtol=1e-13, atol=0)


def test_onnx_keeps_the_digits_of_the_networks_logarithms(tmp_path: Path) -> None:
    class Logarithms(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            values = torch.stack([torch.log1p(x.abs()), torch.expm1(x), torch.expm1(-x)], dim=1)
            return values.abs().log()  # of which the sigmoid of a small one is itself

    model = ThresholdedModel(Logarithms(), make_thresholds([0.1, 0.1, 0.1], np.float64, "real"))
    x = torch.logspace(-30, 2.8, 50, dtype=torch.float64)
    x = torch.cat([x, -x, torch.tensor([0.0, 1e17, -1e17, float("inf"), -float("inf")])])
    write("onnx", model, tmp_path / "model.onnx", x)
    probabilities, _ = run_onnx(tmp_path / "model.onnx", x)
    np.testing.assert_allclose(probabilities, model(x)[0].numpy(), rtol=1e-12, atol=0)


@KINDS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_any_number_of_rows_in_evaluation_mode(
    tmp_path: Path, kind: str, dtype: torch.dtype
) -> None:
    model = ThresholdedModel(Network().to(dtype), make_thresholds(), posterior=POSTERIOR).train()
    model.model.norm.eval()
    modes = [module.training for module in model.modules()]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    path = tmp_path / "model"
    write(kind, model, path, INPUTS[:1].to(dtype))
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    model.eval()
    for n in (1, 2, 7, 64):
        x = INPUTS[:n].to(dtype)
        probabilities, decisions = RUN[kind](path, x)
        wanted, decided = (output.detach().numpy() for output in model(x))
        np.testing.assert_allclose(probabilities, wanted, rtol=0, atol=1e-6)
        np.testing.assert_array_equal(decisions, decided)


@KINDS
def test_everything_that_is_needed_goes_inside(tmp_path: Path, kind: str) -> None:
    model = ThresholdedModel(Network(), make_thresholds(dtype=np.float64), posterior=POSTERIOR)
    model.preprocessing, model.metadata = {"size": 224, "name": "é"}, {"epoch": 3}
    write(kind, model, tmp_path / "model")
    content = about(kind, tmp_path / "model")
    assert content["class_names"] == list(model.thresholds.class_names or ())
    assert content["preprocessing"] == model.preprocessing
    assert content["metadata"] == model.metadata
    assert FocalPosterior.from_dict(content["posterior"]) == POSTERIOR
    thresholds = ThresholdSet.from_dict(content["thresholds"])
    np.testing.assert_array_equal(thresholds.thresholds, model.thresholds.thresholds)
    assert thresholds.thresholds.dtype == np.float64
    assert list(tmp_path.iterdir()) == [tmp_path / "model"]
    with pytest.raises(FileFormatError, match="not a file of the format"):
        ThresholdSet.from_dict({})


def test_the_example_is_not_stored(tmp_path: Path) -> None:
    model = ThresholdedModel(Network(), make_thresholds())
    marked = torch.full((2, 4), 1234.5)
    export_program(model, tmp_path / "model", marked)
    with zipfile.ZipFile(tmp_path / "model") as archive:
        stored = b"".join(archive.read(name) for name in archive.namelist())
    assert marked.numpy().tobytes() not in stored


@KINDS
def test_nan_is_never_called_positive(tmp_path: Path, kind: str) -> None:
    model = ThresholdedModel(Logits(), make_thresholds(), posterior=POSTERIOR)
    write(kind, model, tmp_path / "model", torch.zeros(1, 3))
    probabilities, decisions = RUN[kind](tmp_path / "model", torch.full((2, 3), float("nan")))
    assert np.isnan(probabilities).all()
    assert not decisions.any()


@KINDS
@pytest.mark.parametrize(
    ("example", "message"),
    [
        (np.zeros((1, 4)), "must be a tensor with at least one row, got ndarray"),
        (torch.zeros(0, 4), r"at least one row, got \(0, 4\)"),
        (torch.zeros(()), r"at least one row, got \(\)"),
    ],
    ids=["array", "empty", "scalar"],
)
def test_unusable_examples_raise(tmp_path: Path, kind: str, example: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        write(kind, ThresholdedModel(Network(), make_thresholds()), tmp_path / "model", example)
    assert not list(tmp_path.iterdir())


@KINDS
def test_what_cannot_be_exported_leaves_the_old_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"the old file")
    with pytest.raises(InputError, match="expected a ThresholdedModel, got Network"):
        write(kind, Network(), path)  # type: ignore[arg-type]
    model = ThresholdedModel(Network(), make_thresholds())
    model.preprocessing = {"mean": np.zeros(3)}
    with pytest.raises(InputError, match="what JSON can hold"):
        write(kind, model, path)
    other_outputs = ThresholdedModel(Network(2), make_thresholds())
    with pytest.raises(Exception, match="3"):  # PyTorch's, of a mismatch of 2 and 3
        write(kind, other_outputs, path)
    assert path.read_bytes() == b"the old file"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="permission bits are POSIX")
def test_files_are_as_readable_as_others(tmp_path: Path) -> None:
    (tmp_path / "ordinary").touch()
    export_program(ThresholdedModel(Network(), make_thresholds()), tmp_path / "model", EXAMPLE)
    assert len({path.stat().st_mode for path in tmp_path.iterdir()}) == 1


@pytest.mark.parametrize("missing", ["onnx", "onnxscript"])
def test_without_onnx_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=r"pip install 'mlthresh\[export\]'"):
        export_onnx(ThresholdedModel(Network(), make_thresholds()), tmp_path / "model", EXAMPLE)
    assert not list(tmp_path.iterdir())
