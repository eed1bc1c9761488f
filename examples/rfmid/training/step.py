"""One step of training and one pass over a split: plain PyTorch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from examples.rfmid.errors import RecipeError
from examples.rfmid.training.device import autocast
from examples.rfmid.training.session import Session


def training_step(session: Session, batch: Any) -> tuple[Tensor, int]:
    """Learn from a batch of the loader; return its mean loss, still on the device, and its size."""
    inputs = session.inputs(batch)
    return learn(session, *inputs), len(inputs[0])


def learn(session: Session, images: Tensor, targets: Tensor, weight: Tensor | None) -> Tensor:
    """Forward, backward, clip, step; return the mean loss."""
    clip_norm = session.config.optimizer.clip_norm
    with autocast(session.config, session.device):
        outputs = session.network(images)
    loss = session.loss(outputs, targets, weight)
    session.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    if clip_norm is not None:
        nn.utils.clip_grad_norm_(session.model.parameters(), clip_norm)
    session.optimizer.step()
    return loss.detach()


@torch.inference_mode()
def predict_logits(session: Session, split: str, description: str) -> Tensor:
    """Return the outputs for every image of a split in its order, float32 on the CPU.

    Those for grades, where there are any, stand behind those for presence.
    """
    session.model.eval()
    batches = []
    for images in progress(session, session.eval_loaders[split], description):
        with autocast(session.config, session.device):
            logits = session.model(session.loading.moved(images))
        batches.append(logits.float())
    return session.world.gather(torch.cat(batches).cpu(), len(session.data.splits[split]))


def progress(session: Session, loader: DataLoader[Any], description: str) -> Any:
    """Return the batches, with a progress bar on a terminal."""
    shown = session.world.is_main and sys.stderr.isatty()
    return tqdm(loader, desc=description, leave=False, disable=not shown)


class LoadingError(RecipeError):
    """A failure to load images, with what it leaves behind."""


@contextmanager
def loading_errors(consequence: Callable[[], str]) -> Iterator[None]:
    """Turn what a worker process died of into one line that ends in the consequence.

    PyTorch may raise a worker's death at any place of the main process, this one included: nested,
    the outer context turns what was raised while the inner one was at work.
    """
    try:
        yield
    except LoadingError:
        raise
    except RecipeError as error:  # a worker's comes with its traceback around the message
        message = str(error).rpartition("RecipeError: ")[2].strip()
        raise LoadingError(f"{message}; {consequence()}") from error
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise LoadingError(
            f"a process that loads images died ({error}): was there too little memory? "
            f"--num-workers sets their number; {consequence()}"
        ) from error
