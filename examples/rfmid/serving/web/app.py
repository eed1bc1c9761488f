"""The addresses of the server, and what each answers.

- ``GET /``: the page, and beside it its style and its scripts.
- ``GET /api/model``: names, thresholds, certified recall and limits.
- ``POST /api/predict`` with a photograph as the body: its findings.
- ``POST /api/explain?code=DR`` likewise: where its features raise a disease's score.

Answers are JSON; one that is refused has ``"kind"`` and ``"error"``. Names of files are not asked
for, and nothing is logged of a request.
"""

from __future__ import annotations

from collections.abc import Collection
from importlib.resources import files
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from examples.rfmid.serving.web.body import Body
from examples.rfmid.serving.web.guard import Guard
from examples.rfmid.serving.web.limits import Limits
from examples.rfmid.serving.web.pool import Pool
from examples.rfmid.serving.web.refusals import Refusal

_SPARE_CONNECTIONS = 64  # beside those that send photographs
_MEDIA_TYPES = {"css": "text/css", "html": "text/html", "js": "text/javascript"}


def make_app(
    pool: Pool, about: dict[str, Any], limits: Limits, hosts: Collection[str] = ()
) -> ASGIApp:
    """Return the application.

    Parameters
    ----------
    pool : Pool
        Answers.
    about : dict
        Of the model.
    limits : Limits
    hosts : collection of str
        Names the server answers to, beside localhost and addresses.
    """
    model = {
        **about,
        "limits": {
            "max_bytes": limits.max_bytes,
            "max_pixels": limits.max_pixels,
            "max_files": limits.max_files,
            "at_once": limits.at_once,
            "workers": limits.workers,
        },
    }

    async def get_model(_request: Request) -> Response:
        return JSONResponse(model)

    async def predict(request: Request) -> Response:
        return await _answered(request, {"do": "predict"})

    async def explain(request: Request) -> Response:
        code = request.query_params.get("code", "")
        return await _answered(request, {"do": "explain", "code": code})

    async def _answered(request: Request, task: dict[str, str]) -> Response:
        body = Body(request, limits.max_bytes, limits.max_seconds)
        try:
            try:
                with pool.place():
                    content = await body.read()
                    status, answer = await pool.ask(task, content, request.is_disconnected)
            except Refusal as refusal:
                if refusal.kind in ("busy", "too_large"):
                    await body.discard()
                return _refused(refusal)
        except ClientDisconnect:
            return Response(status_code=499)
        return Response(answer, status, media_type="application/json")

    app = Starlette(
        routes=[
            *_page_routes(),
            Route("/api/model", get_model),
            Route("/api/predict", predict, methods=["POST"]),
            Route("/api/explain", explain, methods=["POST"]),
        ],
        exception_handlers={HTTPException: _http_error},
    )
    return Guard(app, hosts)


def make_server(app: ASGIApp, limits: Limits) -> uvicorn.Server:
    """Return what runs the application; it logs no request."""
    config = uvicorn.Config(
        app,
        access_log=False,
        http="h11",
        lifespan="off",
        limit_concurrency=_SPARE_CONNECTIONS + 4 * limits.at_once,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=5,
        ws="none",
    )
    return uvicorn.Server(config)


def _page_routes() -> list[Route]:
    """Return a route for each file of the page, which is read once."""
    routes = []
    for file in files("examples.rfmid.serving.web").joinpath("page").iterdir():
        path = "/" if file.name == "index.html" else f"/{file.name}"
        kind = _MEDIA_TYPES[file.name.rpartition(".")[2]]
        routes.append(Route(path, _fixed(file.read_bytes(), kind)))
    return routes


def _fixed(content: bytes, kind: str) -> Any:
    async def get(_request: Request) -> Response:
        return Response(content, media_type=kind)

    return get


def _refused(refusal: Refusal) -> Response:
    headers = {"Retry-After": "2"} if refusal.status == 503 else None
    return Response(refusal.to_json(), refusal.status, headers, "application/json")


async def _http_error(_request: Request, error: Exception) -> Response:
    status, words = 500, "The server failed."
    if isinstance(error, HTTPException):
        status, words = error.status_code, f"{error.detail}."
    return _refused(Refusal(status, "http", words))
