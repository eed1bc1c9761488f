"""Start the page on which photographs are looked at."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import tyro

from examples.rfmid.errors import RecipeError
from examples.rfmid.serving.web.limits import Limits
from examples.rfmid.serving.web.pool import Pool
from examples.rfmid.serving.web.process import WorkerProcess
from examples.rfmid.serving.web.worker import work

_DEFAULT = Limits()


def serve(
    source: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")] = None,
    *,
    run: Path | None = None,
    model: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    allow_host: tuple[str, ...] = (),
    limits: Limits = _DEFAULT,
) -> None:
    """Serve a page on which photographs are dropped and their findings seen, until Ctrl-C.

    It says what predict says of them, and keeps none of them: they are never written to a disk.
    There is no password and no encryption, so it can be reached from this machine alone unless
    --host says otherwise.

    Parameters
    ----------
    source
        The run folder, with the saved model, or an ensemble's, or a file that export wrote.
    run
        The folder, named as for predict.
    model
        The exported file, named as for predict.
    host
        Address to listen at; 0.0.0.0 is every one of this machine.
    port
        0: any that is free.
    allow_host
        Names by which others reach this machine; addresses and localhost need not be listed.
    limits
        What is taken, and how much at once.

    Raises
    ------
    RecipeError
        If not one model is named, or it isn't there; if a limit is out of range, the address can't
        be had, or a package is missing.
    """
    try:
        from examples.rfmid.serving.web.app import make_app, make_server
    except ImportError as error:
        raise RecipeError("serve needs packages: pip install 'mlthresh[serve]'") from error
    named = [one for one in (source, run, model) if one is not None]
    if len(named) != 1:
        raise RecipeError(f"name one run folder or exported file, got {len(named)}")
    (served,) = named
    if not served.exists():
        raise RecipeError(f"{served} doesn't exist")
    with _listening(host, port) as listener, _started(served, limits) as pool:
        app = make_app(pool, pool.about(), limits, (*allow_host, host))
        _announce(served, host, listener.getsockname()[1])
        with suppress(KeyboardInterrupt):  # the way to end it
            make_server(app, limits).run(sockets=[listener])


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise RecipeError(f"cannot listen at {host}, port {port}: {error}") from error
    with listener:
        yield listener


@contextmanager
def _started(run: Path, limits: Limits) -> Iterator[Pool]:
    arguments = (str(run), limits.max_pixels, limits.workers)
    workers = [WorkerProcess(work, arguments, limits.max_seconds) for _ in range(limits.workers)]
    pool = Pool(workers, limits.max_waiting)
    try:
        yield pool
    finally:
        pool.close()


def _announce(run: Path, host: str, port: int) -> None:
    shown = f"[{host}]" if ":" in host else host
    print(f"{run} is served at http://{shown}:{port}/ (Ctrl-C ends it)", flush=True)
    if not _is_local(host):
        print(
            "There is no password and no encryption: whoever reaches this machine can use it. "
            "Photographs travel in the clear.",
            flush=True,
        )


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
