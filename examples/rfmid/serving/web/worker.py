"""What a worker process does: load the model, then answer until the other end goes."""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from examples.rfmid.errors import RecipeError
from examples.rfmid.serving.web.refusals import Refusal
from mlthresh import MlthreshError

if TYPE_CHECKING:
    from examples.rfmid.serving.web.model import ServedModel


def work(connection: Connection, source: str, max_pixels: int, n_workers: int) -> None:
    """Answer requests: a line of JSON and a photograph in, a status and an answer out.

    First comes a JSON object, ``{"about": ...}`` or, if there is no model, ``{"failed": why}``.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which then ends this
    try:
        from PIL import Image

        from examples.rfmid.serving.web.model import ServedModel  # PyTorch, which takes seconds

        Image.MAX_IMAGE_PIXELS = None  # `max_pixels` is looked at before Pillow decodes
        _share_cores(n_workers)
        model = ServedModel(Path(source), max_pixels)
    except (RecipeError, MlthreshError) as error:
        connection.send_bytes(json.dumps({"failed": str(error)}).encode())
        return
    connection.send_bytes(json.dumps({"about": model.about()}).encode())
    while True:
        try:
            request, content = json.loads(connection.recv_bytes()), connection.recv_bytes()
            status, answer = _answered(model, request, content)
            connection.send_bytes(b"%d" % status + answer)
        except (EOFError, OSError):
            return


def _answered(model: ServedModel, request: dict[str, str], content: bytes) -> tuple[int, bytes]:
    try:
        if request["do"] == "explain":
            return 200, model.explain(content, request["code"])
        return 200, model.predict(content)
    except Refusal as error:
        return error.status, error.to_json()
    except MemoryError:
        words = "There isn't enough memory for this photograph."
        refusal = Refusal(500, "no_memory", words)
    except Exception:  # one photograph must not end the others
        traceback.print_exc(file=sys.stderr)
        words = "The model failed on this photograph; the server's terminal says how."
        refusal = Refusal(500, "failed", words)
    return refusal.status, refusal.to_json()


def _share_cores(n_workers: int) -> None:
    """Divide the cores; a single worker keeps PyTorch's own choice, as `predict` does."""
    if n_workers > 1:
        import torch

        torch.set_num_threads(max(1, (os.cpu_count() or 1) // n_workers))
