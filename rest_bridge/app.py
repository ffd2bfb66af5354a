"""The FastAPI application of a contract: its endpoints, the fixed pages, the docs."""

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

import msgspec
from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from foretell_contract.contract import Contract
from foretell_contract.errors import DeclarationError
from foretell_contract.service import Method, Service, Shape
from rest_bridge.channel import Caller, Channel, unary_caller
from rest_bridge.coalescer import Coalescer
from rest_bridge.endpoint import Endpoint
from rest_bridge.http import guard
from rest_bridge.http.guard import HEADERS, Guard, failure
from rest_bridge.http.proxy_prefix import ProxyPrefix
from rest_bridge.json.request_problems import RequestRefused, refusal
from rest_bridge.openapi.docs_pages import docs_pages
from rest_bridge.openapi.document import PREDICTIONS, ApiKind, openapi
from rest_bridge.openapi.reserved_paths import collisions, is_page
from rest_bridge.pages import ServedContract, pages
from rest_bridge.settings import BridgeSettings


def create_app(
    contract: Contract, channel: Channel, settings: BridgeSettings, *, api_kind: ApiKind = PREDICTIONS, loopback_only: bool = False
) -> Guard:
    """The application, for any ASGI server: one endpoint for each path of the contract, the fixed pages, the docs.

    With `loopback_only`, it refuses requests whose `Host` is another machine. Raises DeclarationError if a path of the contract is
    one of the bridge's own.
    """
    if problems := list(collisions(contract)):
        raise DeclarationError(*problems)
    served_contract = ServedContract(contract, channel)
    app = _fastapi(contract)
    app.router.routes.extend(docs_pages(contract.api.title))
    app.include_router(pages(contract, channel, served_contract))
    endpoints: dict[str, ASGIApp] = {}
    for service, path, endpoint in _endpoints(contract, channel, settings):
        endpoints[path] = endpoint
        for route in (path, *api_kind.selector_paths(service, path).values()):
            app.router.routes.append(Route(route, endpoint, methods=["POST"], include_in_schema=False))
    app.router.routes.append(Route("/openapi.json", _document(app, contract, served_contract, api_kind)))
    routed = _routed(endpoints, app, ProxyPrefix(settings, partial(_has_route, app)))
    return Guard(guard.loopback_only(routed) if loopback_only else routed)


def _routed(endpoints: Mapping[str, ASGIApp], fastapi: FastAPI, prefix: ProxyPrefix) -> ASGIApp:
    """FastAPI behind a table of the endpoints: its own routing costs more than an endpoint."""

    def application(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        table = endpoints if scope.get("method") == "POST" else {}
        endpoint = table.get(scope["path"]) if table else None
        if endpoint is None and scope["type"] == "http":
            endpoint = table.get(prefix.apply(scope, scope[HEADERS]))
        return (endpoint or fastapi)(scope, receive, send)

    return application


def _has_route(fastapi: FastAPI, path: str) -> bool:
    scope = {"type": "http", "method": "GET", "path": path}
    return any(route.matches(scope)[0] is not Match.NONE for route in fastapi.router.routes)


def _fastapi(contract: Contract) -> FastAPI:
    """The application without routes: FastAPI's own pages are off."""
    app = FastAPI(redirect_slashes=False, openapi_url=None, generate_unique_id_function=lambda page: re.sub(r"\W", "_", page.name))
    app.add_exception_handler(RequestRefused, _refused)
    app.add_exception_handler(HTTPException, partial(_http_exception, contract))
    app.add_exception_handler(Exception, _unexpected)
    return app


def _endpoints(contract: Contract, channel: Channel, settings: BridgeSettings) -> Iterator[tuple[Service, str, Endpoint]]:
    """An endpoint for each path of the contract, under the path with and without a slash at its end."""
    for service in contract.services:
        for method in (method for method in service.methods if method.paths):
            endpoint = Endpoint(contract, method, _caller(contract, channel, service, method), settings)
            for spelling in {spelling for path in method.paths for spelling in (path, f"{path.rstrip('/')}/")}:
                yield service, spelling, endpoint


def _document(
    app: FastAPI, contract: Contract, served_contract: ServedContract, api_kind: ApiKind
) -> Callable[[Request], Awaitable[Response]]:
    """The handler of `/openapi.json`."""
    documents = {contract.services: openapi(app, contract, api_kind)}

    async def document(request: Request) -> Response:
        served = await served_contract.contract()
        if served.services not in documents:
            documents[served.services] = openapi(app, served, api_kind)
        prefix = request.scope.get("root_path", "")
        text = msgspec.json.encode(documents[served.services] | {"servers": [{"url": prefix or "/"}]})
        # Comments link images of the contract by their path on the bridge.
        return Response(text.replace(b"](/contract/", f"]({quote(prefix)}/contract/".encode()), media_type="application/json")

    return document


def _caller(contract: Contract, channel: Channel, service: Service, method: Method) -> Caller:
    """A Coalescer if `method` takes one row and the service has a batch method with the same rows and answers."""
    unary = unary_caller(channel, method)
    for other in service.methods:
        same_rows = (other.features, other.answer) == (method.features, method.answer)
        if method.shape is Shape.ROW and other.shape is Shape.BATCH and same_rows:
            return Coalescer(unary, unary_caller(channel, other), other, contract.rules)
    return unary


async def _refused(_request: Request, refused: Any) -> Any:
    return refused.response()


async def _http_exception(contract: Contract, request: Request, error: Any) -> Response:
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    if error.status_code == 404 and path.endswith("/") and is_page(path[:-1], contract):
        return RedirectResponse(f"../{path.split('/')[-2]}")  # Relative, so that it holds behind a proxy that adds a prefix.
    headers = dict(error.headers or {})
    if error.status_code == 405 and headers.get("Allow") != "POST":
        headers["Allow"] = "GET, HEAD"  # FastAPI leaves HEAD out, which Guard answers.
    kind, text = {
        404: ("not_found", "there is no such page; /docs lists them"),
        405: ("method_not_allowed", f"{request.method[:16]} is not allowed here"),
    }.get(error.status_code, ("refused", "the request was refused"))
    return refusal(error.status_code, kind, text, headers=headers).response()


async def _unexpected(request: Request, error: Exception) -> Response:
    return failure(request.scope, error).response()
