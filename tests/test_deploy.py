"""Saving and loading a network with its thresholds, and the decisions that it takes."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mlthresh import deploy
from mlthresh.deploy import ThresholdedModel, load_model, save_model
from mlthresh.exceptions import FileFormatError, InputError
from mlthresh.posterior import FocalPosterior
from mlthresh.threshold_set import ThresholdSet
from mlthresh.thresholds import find_optimal_thresholds

pytest.importorskip("safetensors")

FILES = ("model.json", "model.safetensors", "thresholds.json")


def make_thresholds(
    values: Any = (0.3, 0.5, np.inf), dtype: Any = np.float32, scale: Any = "probability"
) -> ThresholdSet:
    array = np.array(values, dtype=dtype)
    labels = np.eye(len(array), dtype=int)
    names = [f"disease {i}" for i in range(len(array))]
    found = find_optimal_thresholds(labels, labels.astype(dtype), class_names=names)
    return replace(found, thresholds=array, score_scale=scale)


class Network(nn.Module):
    """Has what can go wrong: tied weights, integer state, batch statistics, views."""

    def __init__(self, n_classes: int = 3, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.encode = nn.Linear(4, 4, bias=False)
        self.decode = nn.Linear(4, 4, bias=False)
        self.decode.weight = self.encode.weight
        self.norm = nn.BatchNorm1d(4)
        self.dropout = nn.Dropout(0.5)
        self.classifier = nn.Linear(4, n_classes)
        table = torch.arange(12.0).reshape(3, 4)
        self.register_buffer("row", table[1])
        self.register_buffer("transposed", table.T)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.normal_(generator=generator)
            self.norm.running_mean.normal_(generator=generator)
            self.norm.num_batches_tracked.fill_(7 + seed)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.decode(torch.relu(self.encode(x))) + self.row
        return self.classifier(self.dropout(self.norm(x)))


INPUTS = torch.randn(64, 4, generator=torch.Generator().manual_seed(5))


# Decisions.


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


# Files.


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("posterior", [None, FocalPosterior(2.5, (0.1, 0.2, 0.3), 1 / 3)])
def test_round_trip(tmp_path: Path, posterior: Any, dtype: Any) -> None:
    network = Network().eval()
    thresholds = make_thresholds(dtype=dtype)
    preprocessing = {"size": 224, "mean": [0.485, 0.456, 0.406], "name": "é"}
    folder = tmp_path / "runs" / "one"
    save_model(
        folder,
        network,
        thresholds,
        posterior=posterior,
        preprocessing=preprocessing,
        metadata={"epoch": 3},
    )
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)

    loaded = load_model(folder, Network(seed=1).train())
    assert not loaded.training
    assert not loaded.model.training
    assert loaded.preprocessing == preprocessing
    assert loaded.metadata == {"epoch": 3}
    assert loaded.posterior == posterior
    assert loaded.thresholds.class_names == thresholds.class_names
    np.testing.assert_array_equal(loaded.thresholds.thresholds, thresholds.thresholds)
    for name, tensor in network.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], tensor), name
    before = ThresholdedModel(network, thresholds, posterior=posterior)(INPUTS)
    for ours, theirs in zip(before, loaded(INPUTS), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_weights_keep_their_dtype(tmp_path: Path, dtype: torch.dtype) -> None:
    network = Network().to(dtype)
    save_model(tmp_path, network, make_thresholds())
    loaded = load_model(tmp_path, Network(seed=1).to(dtype))
    for name, tensor in network.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], tensor), name


def test_other_files_stay_and_an_earlier_save_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text("{}\n")
    save_model(tmp_path, Network(), make_thresholds())
    save_model(tmp_path, Network(2, seed=2), make_thresholds([0.1, 0.2]))
    assert load_model(tmp_path, Network(2)).thresholds.n_classes == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*FILES, "metrics.jsonl"])


@pytest.mark.skipif(os.name != "posix", reason="permission bits are POSIX")
def test_files_are_as_readable_as_others(tmp_path: Path) -> None:
    (tmp_path / "ordinary").touch()
    save_model(tmp_path, Network(), make_thresholds())
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preprocessing": {"mean": np.zeros(3)}}, "preprocessing must be what JSON can hold"),
        ({"metadata": {"loss": float("nan")}}, "metadata must be what JSON can hold"),
        ({"metadata": ["a"]}, "metadata must be a dict, got list"),
    ],
)
def test_unsaveable_dicts_write_nothing(
    tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    save_model(tmp_path, Network(), make_thresholds(), metadata={"save": 1})
    before = {name: (tmp_path / name).read_bytes() for name in FILES}
    with pytest.raises(InputError, match=message):
        save_model(tmp_path, Network(seed=1), make_thresholds(), **arguments)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_state_that_is_no_tensor_raises(tmp_path: Path) -> None:
    class Odd(nn.Module):
        def get_extra_state(self) -> dict[str, int]:
            return {"a": 1}

        def set_extra_state(self, state: Any) -> None:
            raise NotImplementedError

    with pytest.raises(InputError, match="'_extra_state', a dict"):
        save_model(tmp_path, Odd(), make_thresholds())
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_earlier_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_model(tmp_path, Network(), make_thresholds(), metadata={"save": 1})

    def fail(path: Path, content: bytes) -> None:
        path.write_bytes(content[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(deploy, "_write", fail)
    with pytest.raises(OSError, match="No space"):
        save_model(tmp_path, Network(seed=1), make_thresholds(), metadata={"save": 2})
    assert load_model(tmp_path, Network()).metadata == {"save": 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)


@pytest.mark.parametrize("n_renamed", [1, 2])
def test_a_save_cut_short_between_the_renames_is_recognised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_renamed: int
) -> None:
    save_model(tmp_path, Network(), make_thresholds())
    manifest = (tmp_path / "model.json").read_bytes()
    rename, moved = Path.replace, []

    def stop(self: Path, target: Path) -> Path:
        if Path(target).parent == tmp_path:
            if len(moved) == n_renamed:
                raise KeyboardInterrupt
            moved.append(target)
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        save_model(tmp_path, Network(seed=1), make_thresholds([0.1, 0.2, 0.3]))
    monkeypatch.undo()
    assert (tmp_path / "model.json").read_bytes() == manifest  # the manifest goes last
    with pytest.raises(FileFormatError, match=r"model\.safetensors: .*interrupted"):
        load_model(tmp_path, Network())


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["truncated", "empty", "one byte", "binary"])
def test_damaged_files_raise_and_leave_the_network_alone(
    tmp_path: Path, name: str, damage: str
) -> None:
    save_model(tmp_path, Network(), make_thresholds())
    path = tmp_path / name
    content = path.read_bytes()
    middle = len(content) // 2
    changed = {
        "truncated": content[:middle],
        "empty": b"",
        "one byte": content[:20] + bytes([content[20] ^ 0xFF]) + content[21:],
        "binary": b"\x80\x04\x95",
    }[damage]
    path.write_bytes(changed)
    network = Network(seed=1)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(FileFormatError, match=name):
        load_model(tmp_path, network)
    assert all(torch.equal(network.state_dict()[key], value) for key, value in before.items())
    assert network.training


@pytest.mark.parametrize("name", FILES)
def test_absent_files_raise(tmp_path: Path, name: str) -> None:
    save_model(tmp_path, Network(), make_thresholds())
    (tmp_path / name).unlink()
    error = FileNotFoundError if name == "model.json" else FileFormatError
    with pytest.raises(error, match=name):
        load_model(tmp_path, Network())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "mlthresh.model file of version 2; this release reads version 1"),
        ({"format": "other"}, "not a file of the format"),
        ({"posterior": [1]}, "entry 'posterior'"),
        ({"posterior": {"gamma": -1.0, "alpha": None, "pos_weight": None}}, "gamma must be"),
        (
            {"posterior": {"gamma": 2.0, "alpha": None, "pos_weight": [1.0, 2.0]}},
            "2 classes, but there are 3 thresholds",
        ),
        ({"sha256": None}, "entry 'sha256'"),
        ({"sha256": {}}, "not the file that"),
    ],
)
def test_bad_manifests_raise(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    save_model(tmp_path, Network(), make_thresholds())
    path = tmp_path / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(FileFormatError, match=message):
        load_model(tmp_path, Network())


def test_another_architecture_names_the_keys(tmp_path: Path) -> None:
    save_model(tmp_path, Network(), make_thresholds())
    other = Network(5)
    other.extra = nn.Linear(2, 2)
    del other.norm
    other.row = other.row.long()
    with pytest.raises(FileFormatError) as caught:
        load_model(tmp_path, other)
    message = str(caught.value)
    assert "not in the file: ['extra.bias', 'extra.weight']" in message
    assert "not in the model: ['norm.bias', " in message
    assert "classifier.weight: (3, 4) torch.float32 in the file, (5, 4)" in message
    assert "row: (4,) torch.float32 in the file, (4,) torch.int64 in the model" in message


def test_loading_into_a_thresholded_model_raises(tmp_path: Path) -> None:
    save_model(tmp_path, Network(), make_thresholds())
    with pytest.raises(InputError, match="bare network, got ThresholdedModel"):
        load_model(tmp_path, ThresholdedModel(Network(), make_thresholds()))


def test_without_safetensors_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(ImportError, match="pip install safetensors"):
        save_model(tmp_path, Network(), make_thresholds())
    with pytest.raises(ImportError, match="pip install safetensors"):
        load_model(tmp_path, Network())
    assert not list(tmp_path.iterdir())
