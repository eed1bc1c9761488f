"""Saving and loading a network with its thresholds."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mlthresh import saving
from mlthresh.exceptions import FileFormatError, InputError
from mlthresh.posterior import FocalPosterior
from mlthresh.saving import load_model, save_model
from mlthresh.thresholded_model import ThresholdedModel
from tests.deployed import INPUTS, Network, make_thresholds

pytest.importorskip("safetensors")

FILES = ("model.json", "model.safetensors", "thresholds.json")


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

    monkeypatch.setattr(saving, "_write", fail)
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


def test_weights_that_are_no_safetensors_file_raise_though_the_manifest_knows_them(
    tmp_path: Path,
) -> None:
    save_model(tmp_path, Network(), make_thresholds())
    content = b"weights of another kind"
    (tmp_path / "model.safetensors").write_bytes(content)
    manifest = json.loads((tmp_path / "model.json").read_text())
    manifest["sha256"]["model.safetensors"] = hashlib.sha256(content).hexdigest()
    (tmp_path / "model.json").write_text(json.dumps(manifest))
    with pytest.raises(FileFormatError, match=r"model\.safetensors: not a safetensors file"):
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
    with pytest.raises(ImportError, match=r"pip install 'mlthresh\[deploy\]'"):
        save_model(tmp_path, Network(), make_thresholds())
    with pytest.raises(ImportError, match=r"pip install 'mlthresh\[deploy\]'"):
        load_model(tmp_path, Network())
    assert not list(tmp_path.iterdir())
