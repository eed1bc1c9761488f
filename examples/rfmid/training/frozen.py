"""A frozen backbone: each photograph goes through it once, and the head learns from what came out.

The head's input is taken where the network hands it over, so any network with a named head will do.
With more than one view, a training photograph is also seen as augmentation changes it, and each
draw of an epoch takes one of its views.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from examples.rfmid.data.dataset import Draw, EvaluationSet, TrainingSet, key
from examples.rfmid.data.splits import FundusData
from examples.rfmid.errors import RecipeError
from examples.rfmid.files import remove_leftovers, replacing
from examples.rfmid.locks import locked
from examples.rfmid.training.device import autocast
from examples.rfmid.training.loading import Loading
from examples.rfmid.training.model import Network


class FeatureSet(Dataset[Tensor]):
    """What the head is given for each image, without any random change."""

    def __init__(self, features: Tensor) -> None:
        self._features = features

    def __len__(self) -> int:
        return len(self._features)

    def __getitem__(self, index: int) -> Tensor:
        return self._features[index]

    def __getitems__(self, indices: Sequence[int]) -> Tensor:
        """Return a whole batch, for a loader with `as_given`."""
        return self._features[torch.as_tensor(indices)]


class ViewSet(Dataset[tuple[Tensor, Tensor]]):
    """One view of an image, and its targets, for a draw ``(key, index)``.

    Parameters
    ----------
    views : tensor of shape (n_views, n_images, ...)
    targets : float32 array of shape (n_images, k)
    """

    def __init__(self, views: Tensor, targets: Any) -> None:
        self._views, self._targets = views, torch.from_numpy(targets)

    def __len__(self) -> int:
        return len(self._targets)

    def __getitem__(self, draw: Draw) -> tuple[Tensor, Tensor]:
        seed, index = draw
        return self._views[seed % len(self._views), index], self._targets[index]

    def __getitems__(self, draws: Sequence[Draw]) -> tuple[Tensor, Tensor]:
        """Return a whole batch, for a loader with `as_given`."""
        view = torch.tensor([seed % len(self._views) for seed, _ in draws])
        index = torch.tensor([index for _, index in draws])
        return self._views[view, index], self._targets[index]


def as_given(batch: Any) -> Any:
    """Collate a batch that comes whole: item by item takes longer than learning from it."""
    return batch


def compute_features(
    network: Network,
    loading: Loading,
    data: FundusData,
    images: Mapping[str, Sequence[Tensor]],
) -> dict[str, Tensor]:
    """Return the head's input for every image of every split, float32 on the CPU.

    With ``runtime.cache`` "disk" they are kept in its folder, under a name that depends on the
    backbone's weights, the photographs and what becomes of them.

    Returns
    -------
    dict
        Tensors (n_images, ...) by split; those of "train" have their views in front.
    """
    config, world = loading.config, loading.world
    folder = None
    if config.runtime.cache == "disk":
        folder = config.runtime.cache_folder or config.data.folder / ".rfmid_cache"
    backbone = _digest(network)

    def kept(split: str, view: int) -> Tensor:
        marks = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in paths[split]]
        drawn = (config.augmentation, config.training.seed, view) if view else ()
        made = (backbone, config.model.features, marks, loading.preprocessing, drawn)
        mark = hashlib.blake2b(repr(made).encode(), digest_size=12).hexdigest()
        return _kept(
            folder and folder / f"features-{mark}.npy",
            lambda: _one_view(network, loading, images[split], f"{split}, view {view + 1}", view),
        )

    paths = {name: split.paths for name, split in data.splits.items()}
    with world.main_first():  # one process computes, the others read or compute the same
        found = {name: kept(name, 0) for name in data.splits}
        views = [found["train"], *(kept("train", v) for v in range(1, config.model.views))]
    return {**found, "train": torch.stack(views)}


def _one_view(
    network: Network, loading: Loading, images: Sequence[Tensor], name: str, view: int
) -> Tensor:
    """Pass a split through the backbone, plain or as augmentation changes it."""
    n, seed = len(images), loading.config.training.seed
    numbers = np.arange(n, dtype=np.float32)[:, None]  # as targets, for batches may be reordered
    if view:
        draws = [(key(seed, -2, view, i), i) for i in range(n)]
        loader = loading.training(TrainingSet(images, numbers, loading.change), draws)
    else:
        loader = loading.plain(EvaluationSet(images, loading.preprocessing), range(n))
    given: list[Tensor] = []
    head = network.model.get_submodule(network.head)
    hook = head.register_forward_pre_hook(lambda _, arguments: given.append(arguments[0]))
    try:
        return _passed_through(network.model, loading, loader, given, n, name)
    finally:
        hook.remove()


@torch.inference_mode()
def _passed_through(
    model: nn.Module,
    loading: Loading,
    loader: DataLoader[Any],
    given: list[Tensor],
    n: int,
    name: str,
) -> Tensor:
    model.eval()
    features, first = torch.empty(0), 0
    for batch in tqdm(loader, desc=f"frozen backbone: {name}", leave=False, disable=None):
        if isinstance(batch, Tensor):
            inputs, rows = loading.moved(batch), torch.arange(first, first + len(batch))
        else:
            inputs, targets = loading.inputs(batch)
            rows = targets[:, 0].long().cpu()
        first += len(rows)
        given.clear()
        with autocast(loading.config, loading.world.device):
            model(inputs)
        if len(given) != 1:
            raise RecipeError(
                f"the network called its head {len(given)} times for a batch; to freeze the rest, "
                "it must be called once"
            )
        part = given[0].float().cpu()
        if not len(features):
            features = part.new_empty((n, *part.shape[1:]))
        features[rows] = part
    return features.clone()  # outside of inference mode's tensors


def _kept(path: Path | None, compute: Callable[[], Tensor]) -> Tensor:
    """Return the features in a file, computed and written there if there is none.

    Of several processes that want them at once, one computes and the others wait.
    """
    if path is None:
        return compute()
    if (found := _read(path)) is not None:
        return found
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.parent / f".{path.name}.lock"):
        if (found := _read(path)) is not None:
            return found  # written while the lock was waited for
        remove_leftovers(path.parent, path.name)
        features = compute()
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.save(file, features.numpy(), allow_pickle=False)
        print(f"{path}: {len(features)} images passed through the backbone now")
    return features


def _read(path: Path) -> Tensor | None:
    """Return the features in a file; None where it isn't there or damaged."""
    try:
        return torch.from_numpy(np.load(path, allow_pickle=False))
    except (OSError, ValueError, EOFError):
        return None


def _digest(network: Network) -> str:
    """Return a digest of the weights outside the head."""
    digest = hashlib.blake2b(digest_size=12)
    for name, value in sorted(network.model.state_dict().items()):
        if not name.startswith(f"{network.head}."):
            digest.update(name.encode())
            digest.update(value.cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
