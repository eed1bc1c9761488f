"""Exported runs: the same decisions from one file, and files that are refused."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from examples.rfmid.__main__ import main
from examples.rfmid.errors import RecipeError
from examples.rfmid.files import read_json
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.scoring.tune import tune
from examples.rfmid.serving import export as export_module
from examples.rfmid.serving.archive import check_archive
from examples.rfmid.serving.export import export
from examples.rfmid.serving.exported import load_exported
from examples.rfmid.serving.predict import predict
from mlthresh import ThresholdSet
from tests.rfmid.simulation import (
    CODES,
    of_photographs,
    save_network,
    simulate_run,
    tiny_network,
    with_tiny_network,
)

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

FORMATS = pytest.mark.parametrize("kind", ["onnx", "program"])


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run in both formats."""
    run = tmp_path_factory.mktemp("shipped") / "run"
    folder = simulate_run(run, n_epochs=1, config=with_tiny_network())
    save_network(folder, network=tiny_network(len(CODES))[0])
    for kind in ("onnx", "program"):
        export(folder.path, kind=kind, n_images=4)  # type: ignore[arg-type]
    return folder


@pytest.fixture
def eyes(tmp_path: Path) -> tuple[Path, ...]:
    rng = np.random.default_rng(0)
    paths = tuple(tmp_path / name for name in ("b.png", "a.jpg"))
    for path, shape in zip(paths, [(90, 60, 3), (50, 120, 3)], strict=True):
        Image.fromarray(rng.integers(0, 255, shape, dtype=np.uint8)).save(path)
    return paths


@FORMATS
def test_an_exported_file_predicts_as_its_run(
    shipped: RunFolder, eyes: tuple[Path, ...], tmp_path: Path, kind: str
) -> None:
    alone = shutil.copy(shipped.exports[kind], tmp_path)
    outputs = tmp_path / "run.json", tmp_path / "file.json"
    by_run = predict(eyes, run=shipped.path, output=outputs[0])
    by_file = predict(eyes, model=Path(alone), output=outputs[1])
    for one, other in zip(by_run, by_file, strict=True):
        assert one.decisions == other.decisions
        for code in CODES:
            assert other.probabilities[code] == pytest.approx(one.probabilities[code], abs=1e-6)
    assert any(any(one.decisions.values()) for one in by_run)
    written = [json.loads(path.read_text("utf-8")) for path in outputs]
    assert written[0]["classes"] == written[1]["classes"]
    assert [one["found"] for one in written[0]["images"]] == [
        one["found"] for one in written[1]["images"]
    ]


def test_a_convnext_becomes_onnx(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = simulate_run(tmp_path / "run", n_epochs=1)
    save_network(folder)
    export(folder.path, n_images=2)
    assert "on 2 random inputs" in (printed := capsys.readouterr().out)
    assert "10 of 10 decisions equal" in printed


def test_the_check_is_printed_and_uses_photographs_where_they_are(
    tmp_path: Path, shared_data_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = simulate_run(
        tmp_path / "run",
        **of_photographs(shared_data_folder),
        config=with_tiny_network(),
    )
    save_network(folder, network=tiny_network(3)[0])
    assert main(["export", "--run", str(folder.path), "--format", "program"]) == 0
    printed = capsys.readouterr().out
    assert "on 16 validation images: 48 of 48 decisions equal, probabilities within" in printed
    entry = read_json(folder.data)
    entry["splits"]["val"]["image_folder"] = "elsewhere"
    folder.data.write_text(json.dumps(entry), "utf-8")
    export(folder.path, kind="program", n_images=3)
    assert "on 3 random inputs (no validation image is there): 9 of 9" in capsys.readouterr().out


@pytest.mark.parametrize(("change", "message"), [("score", "probabilities"), ("flip", "decisions")])
def test_a_file_that_decides_otherwise_is_not_kept(
    shipped: RunFolder, monkeypatch: pytest.MonkeyPatch, change: str, message: str
) -> None:
    def another(path: Path, suffix: str) -> Any:
        exported = load_exported(path, suffix)
        inner = exported.run

        def run(inputs: torch.Tensor) -> Any:
            probabilities, decisions = inner(inputs)
            if change == "score":
                return probabilities + 1e-4, decisions
            decisions = decisions.copy()
            decisions[0, 0] = not decisions[0, 0]
            return probabilities, decisions

        object.__setattr__(exported, "run", run)
        return exported

    monkeypatch.setattr(export_module, "load_exported", another)
    before = shipped.exports["program"].read_bytes()
    files = sorted(shipped.path.iterdir())
    with pytest.raises(RecipeError, match=f"differs.*{message}"):
        export(shipped.path, kind="program", n_images=2)
    assert shipped.exports["program"].read_bytes() == before
    assert sorted(shipped.path.iterdir()) == files


def test_new_thresholds_delete_the_files_with_the_old_ones(
    shipped: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder(Path(shutil.copytree(shipped.path, tmp_path / "run")))
    tune(folder.path, strategy="fixed")
    assert not any(path.exists() for path in folder.exports.values())
    assert capsys.readouterr().out.count("had the old thresholds and is deleted") == 2
    export(folder.path, kind="program", n_images=1)
    thresholds = load_exported(folder.exports["program"]).thresholds
    np.testing.assert_array_equal(thresholds.thresholds, 0.5)
    assert set(folder.results()) >= set(folder.exports.values())


@FORMATS
def test_nan_raises_instead_of_meaning_no(shipped: RunFolder, kind: str) -> None:
    exported = load_exported(shipped.exports[kind])
    with pytest.raises(RecipeError, match="returned NaN"):
        exported.infer(torch.full((1, 3, 32, 32), float("nan")))


def test_either_a_run_or_a_model_is_needed(shipped: RunFolder, eyes: tuple[Path, ...]) -> None:
    for both in ({}, {"run": shipped.path, "model": shipped.exports["onnx"]}):
        with pytest.raises(RecipeError, match="either --run or --model"):
            predict(eyes, **both)


@pytest.mark.parametrize("name", ["model.onnx", "model.pt2"])
def test_other_files_are_refused_by_name(
    shipped: RunFolder, tmp_path: Path, eyes: tuple[Path, ...], name: str
) -> None:
    path = tmp_path / name
    with pytest.raises(RecipeError, match=f"cannot read the model .*{name}"):
        predict(eyes, model=path)
    path.write_bytes(b"something else")
    with pytest.raises(RecipeError, match=name):
        predict(eyes, model=path)
    path.write_bytes((shipped.path / name).read_bytes()[:5000])
    with pytest.raises(RecipeError, match=name):
        predict(eyes, model=path)
    with pytest.raises(RecipeError, match=r"\.onnx or \.pt2"):
        predict(eyes, model=shipped.path / "model.json")


def test_models_without_thresholds_are_refused(tmp_path: Path, eyes: tuple[Path, ...]) -> None:
    program = torch.export.export(torch.nn.Identity(), (torch.zeros(1, 3, 32, 32),))
    content = io.BytesIO()
    torch.export.save(program, content)
    (tmp_path / "model.pt2").write_bytes(content.getvalue())
    with pytest.raises(RecipeError, match="was it written by export"):
        predict(eyes, model=tmp_path / "model.pt2")


# -- nothing in an archive is run


class Trap:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.path,)


def changed(path: Path, name: str, change: Callable[[bytes], bytes]) -> bytes:
    """Return an archive with one part changed, or added."""
    result = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(result, "w") as new:
        root = old.namelist()[0].split("/")[0]
        for info in old.infolist():
            if info.filename != f"{root}/{name}":
                new.writestr(info.filename, old.read(info.filename))
        known = f"{root}/{name}" in old.namelist()
        new.writestr(f"{root}/{name}", change(old.read(f"{root}/{name}") if known else b""))
    return result.getvalue()


def test_an_archive_without_harm_passes(shipped: RunFolder) -> None:
    path = shipped.exports["program"]
    check_archive(path, path.read_bytes())
    check_archive(path, changed(path, "extra/mlthresh.json", bytes))


@pytest.mark.parametrize(
    ("part", "old", "new", "message"),
    [
        ("data/weights/model_weights_config.json", b'"use_pickle": false', b'"use_pickle": true',
         "use_pickle is 'True'"),
        ("models/model.json", b"torch.ops.aten.conv2d.default", b"torch.hub.load",
         "target is 'torch.hub.load'"),
        ("models/model.json", b"torch.ops.aten.conv2d.default", b"_operator.methodcaller",
         "target is '_operator.methodcaller'"),
        ("models/model.json", b'"expr_str": "Symbol(', b'"expr_str": "exec(', "expr_str is"),
        ("models/model.json", b'"expr_str": "Symbol(\'s', b'"expr_str": "Symbol(\'x.y',
         "expr_str is"),
        ("data/aotinductor/model/lib.so", b"", b"", "unexpected part"),
        ("data/constants/custom_obj_0", b"", b"", "unexpected part"),
    ],
)  # fmt: skip
def test_archives_that_could_run_code_are_refused(
    shipped: RunFolder, tmp_path: Path, part: str, old: bytes, new: bytes, message: str
) -> None:
    def change(content: bytes) -> bytes:
        assert old in content
        return content.replace(old, new)

    path = tmp_path / "model.pt2"
    path.write_bytes(changed(shipped.exports["program"], part, change))
    with pytest.raises(RecipeError, match=message):
        load_exported(path)


@pytest.mark.parametrize("part", ["sample_inputs", "weights", "constants"])
def test_pickled_parts_are_not_unpickled(shipped: RunFolder, tmp_path: Path, part: str) -> None:
    touched, path = tmp_path / "touched", tmp_path / "model.pt2"
    content = io.BytesIO()
    torch.save(Trap(touched), content)
    name = f"data/{part}/model.pt"
    path.write_bytes(changed(shipped.exports["program"], name, lambda _: content.getvalue()))
    with pytest.raises(RecipeError, match=f"{name} holds more than tensors"):
        load_exported(path)
    assert not touched.exists()
    pickle.loads(pickle.dumps(Trap(touched)))  # noqa: S301  # our own: the trap works
    assert touched.exists()


def test_the_thresholds_are_the_runs(shipped: RunFolder) -> None:
    wanted = ThresholdSet.load(shipped.path / "thresholds.json")
    for path in shipped.exports.values():
        exported = load_exported(path)
        np.testing.assert_array_equal(exported.thresholds.thresholds, wanted.thresholds)
        assert tuple(exported.names) == CODES
        assert exported.preprocessing.image_size == 32


@pytest.mark.parametrize("package", ["onnxruntime", "onnx"])
def test_missing_packages_are_named(
    shipped: RunFolder, monkeypatch: pytest.MonkeyPatch, eyes: tuple[Path, ...], package: str
) -> None:
    monkeypatch.setitem(__import__("sys").modules, package, None)
    if package == "onnx":
        with pytest.raises(RecipeError, match=r"pip install 'mlthresh\[export\]'"):
            export(shipped.path, kind="onnx")
    else:
        with pytest.raises(RecipeError, match="pip install onnxruntime"):
            predict(eyes, model=shipped.exports["onnx"])
