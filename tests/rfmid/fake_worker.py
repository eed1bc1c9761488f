"""What stands for the model in a worker process: it does what the photograph's bytes say."""

from __future__ import annotations

import json
import os
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path


def obey(connection: Connection, gate: str = "") -> None:
    """Echo, or die, or hang, or wait until the file `gate` is there."""
    connection.send_bytes(json.dumps({"about": {"pid": os.getpid()}}).encode())
    n_asked = 0
    while True:
        try:
            request, content = json.loads(connection.recv_bytes()), connection.recv_bytes()
        except EOFError:
            return
        n_asked += 1
        if content == b"die":
            os.kill(os.getpid(), signal.SIGKILL)
        if content == b"hang":
            signal.pause()
        while content == b"wait" and not Path(gate).exists():
            time.sleep(0.01)
        answer = {"echo": content.decode(), "pid": os.getpid(), "n_asked": n_asked, **request}
        connection.send_bytes(b"200" + json.dumps(answer).encode())


def fail(connection: Connection) -> None:
    """Say why there is no model."""
    connection.send_bytes(json.dumps({"failed": "no whole model here"}).encode())


def die_at_once(connection: Connection) -> None:
    """Say nothing."""
