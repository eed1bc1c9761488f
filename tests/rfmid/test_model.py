from __future__ import annotations

import re
import sys
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from examples.rfmid.errors import RecipeError
from examples.rfmid.training.model import build_network


@pytest.mark.parametrize("name", ["convnext_tiny", "convnext_small", "convnext_base"])
def test_models_are_torchvision_s(name: str) -> None:
    with torch.device("meta"):
        model = build_network(name, 5).model
        original = getattr(models, name)(num_classes=5)
    assert {key: value.shape for key, value in model.state_dict().items()} == {
        key: value.shape for key, value in original.state_dict().items()
    }
    assert [m.p for m in model.modules() if type(m).__name__ == "StochasticDepth"] == [
        m.p for m in original.modules() if type(m).__name__ == "StochasticDepth"
    ]


def test_convnext_demo_is_small_and_learns_from_its_first_step() -> None:
    model = build_network("convnext_demo", 3).model
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 3)
    assert sum(value.numel() for value in model.parameters()) < 5e6
    scales = [value for name, value in model.named_parameters() if "layer_scale" in name]
    assert scales
    assert all((scale == 1).all() for scale in scales)


def test_the_seed_alone_decides_the_random_weights() -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    one = build_network("convnext_demo", 3, seed=4).model.state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    same = build_network("convnext_demo", 3, seed=4).model.state_dict()
    other = build_network("convnext_demo", 3, seed=5).model.state_dict()
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["classifier.2.weight"], other["classifier.2.weight"])


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_from_a_file(
    suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = build_network("convnext_demo", 3, seed=1).model.state_dict()
    path = tmp_path / f"weights{suffix}"
    save_file(source, path) if suffix == ".safetensors" else torch.save(source, path)

    same = build_network("convnext_demo", 3, str(path), seed=2).model.state_dict()
    assert all(torch.equal(same[name], source[name]) for name in source)
    assert capsys.readouterr().out == ""

    more = build_network("convnext_demo", 7, str(path), seed=2).model.state_dict()
    assert "the last layer is new, for 7 classes" in capsys.readouterr().out
    fresh = build_network("convnext_demo", 7, seed=2).model.state_dict()
    for name, value in more.items():
        is_last = name.startswith("classifier.2.")
        assert torch.equal(value, fresh[name] if is_last else source[name])


def test_weights_without_a_last_layer(tmp_path: Path) -> None:
    source = build_network("convnext_demo", 3, seed=1).model.state_dict()
    backbone = {name: value for name, value in source.items() if "classifier.2" not in name}
    torch.save(backbone, tmp_path / "backbone.pth")
    model = build_network("convnext_demo", 3, str(tmp_path / "backbone.pth")).model.state_dict()
    assert torch.equal(model["features.0.0.weight"], source["features.0.0.weight"])


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    state = build_network("convnext_demo", 3).model.state_dict()
    path = tmp_path / "weights.pth"

    torch.save({k: v for k, v in state.items() if k != "features.0.0.bias"}, path)
    with pytest.raises(RecipeError, match=r"don't fit the model: missing: features.0.0.bias$"):
        build_network("convnext_demo", 3, str(path))

    torch.save({**state, "fc.weight": torch.zeros(1)}, path)
    with pytest.raises(RecipeError, match="unexpected: fc.weight$"):
        build_network("convnext_demo", 3, str(path))

    torch.save({**state, "features.0.0.bias": torch.zeros(7)}, path)
    with pytest.raises(
        RecipeError, match=r"of another shape: features.0.0.bias \(7,\) instead of \(\d+,\)"
    ):
        build_network("convnext_demo", 3, str(path))

    torch.save(state, path)
    with pytest.raises(RecipeError, match=r"of another shape: .* and \d+ more"):
        build_network("convnext_tiny", 3, str(path))


def test_weights_that_are_no_weights(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"imagenet, none or a file; .*absent.pth doesn't exist"):
        build_network("convnext_demo", 3, str(tmp_path / "absent.pth"))
    for name in ("noise.pth", "noise.safetensors"):
        (tmp_path / name).write_bytes(b"noise" * 100)
        with pytest.raises(RecipeError, match=f"cannot read weights from .*{name}"):
            build_network("convnext_demo", 3, str(tmp_path / name))
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(RecipeError, match="holds no state dictionary"):
        build_network("convnext_demo", 3, str(tmp_path / "list.pth"))


class Payload:
    """A class of ours, which a file must not bring to life."""


def test_nothing_untrusted_is_unpickled(tmp_path: Path) -> None:
    torch.save({"features.0.0.bias": Payload()}, tmp_path / "evil.pth")
    with pytest.raises(RecipeError, match="cannot read weights from"):
        build_network("convnext_demo", 3, str(tmp_path / "evil.pth"))


def test_without_a_network_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(models._api, "load_state_dict_from_url", no_network)
    with pytest.raises(
        RecipeError,
        match=r"cannot download .*no route to host.*https://download.pytorch.org/models/"
        r"convnext_tiny-983f1562.pth .*--weights FILE.*--weights none",
    ):
        build_network("convnext_tiny", 16, "imagenet")
    with pytest.raises(RecipeError, match="convnext_demo has no ImageNet weights"):
        build_network("convnext_demo", 16, "imagenet")


def test_imagenet_weights_keep_the_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.device("cpu"):
        downloaded = models.convnext_tiny(num_classes=1000).state_dict()
    monkeypatch.setattr(models._api, "load_state_dict_from_url", lambda *_, **__: downloaded)
    model = build_network("convnext_tiny", 16, "imagenet").model.state_dict()
    assert torch.equal(
        model["features.7.2.block.0.weight"], downloaded["features.7.2.block.0.weight"]
    )
    assert model["classifier.2.weight"].shape == (16, 768)


def test_unknown_architecture() -> None:
    with pytest.raises(RecipeError, match="unknown architecture 'resnet50'; there are convnext_"):
        build_network("resnet50", 3)


# -- factories


@pytest.fixture
def factories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of factories on the import path."""
    (tmp_path / "own_networks.py").write_text(
        """
from torch import nn

def small(n_classes, pretrained):
    body = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1))
    model = nn.Sequential()
    model.body = body
    model.head = nn.Sequential(nn.Flatten(), nn.Linear(4, n_classes))
    if pretrained:
        nn.init.ones_(body[0].weight)
    return model, "head"

def misnamed(n_classes, pretrained):
    return small(n_classes, pretrained)[0], "classifier"

def bare(n_classes, pretrained):
    return small(n_classes, pretrained)[0]

def broken(n_classes, pretrained):
    raise KeyError("weights")
"""
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_networks", raising=False)


@pytest.mark.usefixtures("factories")
def test_a_factory_s_network(tmp_path: Path) -> None:
    model, head = build_network("own_networks:small", 5, seed=1)
    assert head == "head"
    assert model.eval()(torch.zeros(2, 3, 32, 32)).shape == (2, 5)
    again, _ = build_network("own_networks:small", 5, seed=1)
    torch.testing.assert_close(model.state_dict(), again.state_dict())
    pretrained = build_network("own_networks:small", 5, "imagenet").model
    assert bool((pretrained.state_dict()["body.0.weight"] == 1).all())
    path = tmp_path / "weights.safetensors"
    save_file(pretrained.state_dict(), path)
    fewer = build_network("own_networks:small", 2, str(path)).model.state_dict()
    assert bool((fewer["body.0.weight"] == 1).all())
    assert fewer["head.1.weight"].shape == (2, 4)


@pytest.mark.usefixtures("factories")
@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("own_networks:misnamed", "calls its head 'classifier', but its modules are body, head"),
        ("own_networks:bare", "must return a module and the name of its head, got Sequential"),
        ("own_networks:broken", "failed with n_classes=3, pretrained=False: KeyError: 'weights'"),
        ("own_networks:absent", "cannot import the factory own_networks:absent"),
        ("nowhere_at_all:small", "cannot import the factory nowhere_at_all:small"),
    ],
)
def test_factories_that_do_not_work(factory: str, message: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(message)):
        build_network(factory, 3)
