"""Grad-CAM maps, their numbers and their overlays."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from examples.rfmid.__main__ import main
from examples.rfmid.data.images import load_image
from examples.rfmid.errors import RecipeError
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.serving.bundle import load_bundle
from examples.rfmid.serving.explain import explain
from examples.rfmid.serving.grad_cam import grad_cam
from examples.rfmid.serving.predict import predict
from examples.rfmid.training.model import build_network
from tests.rfmid.simulation import CODES, PREPROCESSING, save_network, simulate_run


class Channels(nn.Module):
    """Two feature maps; class 0 adds the first's mean, class 1 subtracts it."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 2, 1, bias=False)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.features.weight.zero_()
            self.features.weight[0, 0] = 1.0
            self.features.weight[1, 1] = 1.0
            self.head.weight.copy_(torch.tensor([[4.0, 0.0], [-4.0, 0.0]]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.pool(self.features(x)).flatten(1))


def test_maps_are_the_weighted_features() -> None:
    x = torch.rand(1, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    network = Channels().eval()
    network.requires_grad_(False)
    maps, layer = grad_cam(network, "head", x, [0, 1])
    assert layer == "features"
    np.testing.assert_allclose(maps[0], 4 / 35 * x[0, 0].numpy(), rtol=1e-6)
    assert not maps[1].any(), "what lowers a score is cut off"
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize(
    ("architecture", "head", "layer"),
    [
        ("convnext_demo", "classifier", "features"),
        ("tests.rfmid.test_explain:resnet", "fc", "layer4"),
        ("tests.rfmid.test_explain:densenet", "classifier", "features"),
    ],
)
def test_the_layer_is_the_last_with_feature_maps(architecture: str, head: str, layer: str) -> None:
    network = build_network(architecture, 3)
    assert network.head == head
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    maps, found = grad_cam(network.model.eval(), head, x, [2])
    assert found == layer
    assert maps.shape == (1, 2, 2)
    assert (maps >= 0).all()


def resnet(n_classes: int, pretrained: bool) -> tuple[nn.Module, str]:
    from torchvision.models import resnet18

    return resnet18(num_classes=n_classes), "fc"


def densenet(n_classes: int, pretrained: bool) -> tuple[nn.Module, str]:
    from torchvision.models import DenseNet

    model = DenseNet(growth_rate=4, block_config=(1, 1, 1, 1), num_classes=n_classes)
    return model, "classifier"


def test_a_network_without_feature_maps_is_refused() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(27, 2)).eval()
    with pytest.raises(RecipeError, match="the network has none"):
        grad_cam(network, "1", torch.zeros(1, 3, 3, 3), [0])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = simulate_run(tmp_path_factory.mktemp("trained") / "run", n_epochs=1)
    save_network(folder, preprocessing={**PREPROCESSING, "image_size": 64})
    return folder


@pytest.fixture
def eyes(tmp_path: Path) -> tuple[Path, ...]:
    rng = np.random.default_rng(0)
    paths = tuple(tmp_path / name for name in ("one/eye.png", "two/eye.png"))
    for path in paths:
        path.parent.mkdir()
        Image.fromarray(rng.integers(0, 255, (64, 90, 3), dtype=np.uint8)).save(path)
    return paths


def test_numbers_and_overlays(
    trained: RunFolder, eyes: tuple[Path, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    predicted = predict(eyes, run=trained.path)
    folder = explain(trained.path, eyes)
    assert "no evidence of what the model used" in capsys.readouterr().out.replace("\n", " ")
    content = json.loads((folder / "explanations.json").read_text("utf-8"))
    assert "no evidence" in content["caution"]
    assert [one["figure"] for one in content["images"]] == ["eye.png", "eye_1.png"]
    bundle = load_bundle(trained.path)
    for entry, one in zip(content["images"], predicted, strict=True):
        called = {code for code, yes in one.decisions.items() if yes}
        most_probable = max(one.probabilities, key=one.probabilities.__getitem__)
        assert {c["code"] for c in entry["classes"]} == (called or {most_probable})
        shown = [numbers["probability"] for numbers in entry["classes"]]
        assert shown == sorted(shown, reverse=True)
        for numbers in entry["classes"]:
            code = numbers["code"]
            assert numbers["probability"] == one.probabilities[code]
            assert numbers["found"] == one.decisions[code]
            inputs = bundle.preprocessing(load_image(one.image))[None]
            network = bundle.model.model
            (wanted,), _ = grad_cam(network, "classifier", inputs, [CODES.index(code)])
            np.testing.assert_allclose(numbers["map"], wanted, rtol=1e-3)
            if wanted.any():
                x, y = numbers["peak"]
                assert wanted[int(y * wanted.shape[0]), int(x * wanted.shape[1])] == wanted.max()
        with Image.open(folder / entry["figure"]) as image:
            assert image.format == "PNG"
            assert image.width > 400


def test_classes_can_be_chosen(trained: RunFolder, eyes: tuple[Path, ...], tmp_path: Path) -> None:
    output = tmp_path / "maps"
    arguments = ["explain", "--run", str(trained.path), "--images", str(eyes[0])]
    assert main([*arguments, "--classes", "RPEC", "DR", "--output", str(output)]) == 0
    (entry,) = json.loads((output / "explanations.json").read_text("utf-8"))["images"]
    assert [one["code"] for one in entry["classes"]] == ["RPEC", "DR"]
    with pytest.raises(RecipeError, match="1 image of 2 could not be read.*absent"):
        explain(trained.path, (tmp_path / "absent.png", eyes[0]), output=output)
    content = json.loads((output / "explanations.json").read_text("utf-8"))
    assert (len(content["images"]), len(content["errors"])) == (1, 1)
    with pytest.raises(RecipeError, match="no class GLA; it has DR, MH"):
        explain(trained.path, eyes, classes=("GLA",))
