"""The pages that every bridge has: health, models, and the contract's files."""

import asyncio
from collections.abc import Awaitable, Callable
from mimetypes import guess_type
from typing import Any

import grpc
import msgspec
from fastapi import APIRouter, Request
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2
from pydantic import BaseModel
from starlette.responses import PlainTextResponse, Response

from foretell_contract.contract import LIST_MODELS_RESPONSE, MODEL_SERVICE, Contract
from foretell_contract.downloads import Downloads, downloads
from foretell_contract.service import Service
from rest_bridge.channel import Channel
from rest_bridge.json.codec import document_of
from rest_bridge.json.grpc_to_http import failed_call
from rest_bridge.json.request_problems import refusal
from rest_bridge.json.scalars import Form
from rest_bridge.openapi.docs_pages import fixed
from rest_bridge.openapi.refusals import refusal_response

_MODELS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{LIST_MODELS_RESPONSE}"}}}}
}
_BINARY = "application/octet-stream"
_COMPILED = {
    "/contract.binpb": ("descriptor_set", _BINARY, "The contract, compiled: a FileDescriptorSet with imports and comments"),
    "/contract/plain.binpb": ("plain_set", _BINARY, "The contract, compiled, without custom options"),
    "/contract/plain.zip": ("plain_archive", "application/zip", "The contract's files without custom options"),
}
"""Attribute of Downloads, media type and summary by path."""

_SECONDS = 2.0
_RETRY = {"retry-after": "1"}


class Health(BaseModel):
    """State of a process: `live` or `ready`."""

    status: str


class ContractFiles(BaseModel):
    """Where the contract can be downloaded: that of the services which the server has models for."""

    files: list[str]
    """Paths of the `.proto` files: contracts first, then all that they import. `google/protobuf` comes with protoc."""
    descriptor_set: str
    """Path of the compiled FileDescriptorSet, imports and comments included."""
    plain_descriptor_set: str
    """Path of the FileDescriptorSet without custom options, for protoc with the plugin of any language."""
    plain_archive: str
    """Path of the same as `.proto` files in a ZIP file."""


class ServedContract:
    """The contract without the services that have no model, for the pages. Use it on one event loop."""

    def __init__(self, contract: Contract, channel: Channel) -> None:
        self._contract = self._last_served = contract
        self._list_models = channel.unary_unary(f"/{MODEL_SERVICE}/ListModels")
        self._response = contract.message(LIST_MODELS_RESPONSE)
        self._downloads: dict[tuple[Service, ...], Downloads] = {}

    async def listed(self) -> Any:
        """The server's models, a foretell.v1.ListModelsResponse. Raises grpc.aio.AioRpcError, or DecodeError."""
        return self._response.FromString(await self._list_models(b"", timeout=_SECONDS))

    async def contract(self) -> Contract:
        """The services that the server lists now, else those of its last list that had any, else all."""
        try:
            listed = await self.listed()
        except (grpc.aio.AioRpcError, DecodeError):
            return self._last_served
        served = self._contract.restricted_to({model.name for model in listed.models})
        if served.services:
            self._last_served = served
        return self._last_served

    async def downloads(self) -> Downloads:
        """The downloads of those services."""
        served = await self.contract()
        if served.services not in self._downloads:
            self._downloads[served.services] = await asyncio.to_thread(downloads, served)
        return self._downloads[served.services]


def pages(contract: Contract, channel: Channel, served_contract: ServedContract) -> APIRouter:
    """The routes of the pages."""
    router = APIRouter(tags=["server"])
    check = channel.unary_unary("/grpc.health.v1.Health/Check")
    unreachable: dict[int | str, dict[str, Any]] = {status: refusal_response(status) for status in (429, 503, 504)}

    @router.get("/healthz", summary="Whether the bridge runs")
    async def healthz() -> Health:
        return Health(status="live")

    @router.get("/readyz", summary="Whether calls are answered", responses={503: refusal_response(503)})
    async def readyz() -> Health:
        try:
            answer = await check(health_pb2.HealthCheckRequest().SerializeToString(), timeout=_SECONDS)
        except grpc.aio.AioRpcError:
            raise refusal(503, "unavailable", "the model server cannot be reached", headers=_RETRY) from None
        if health_pb2.HealthCheckResponse.FromString(answer).status != health_pb2.HealthCheckResponse.SERVING:
            raise refusal(503, "unavailable", "the model server is not ready", headers=_RETRY)
        return Health(status="ready")

    @router.get("/models", summary="Which models answer", response_class=Response, responses=_MODELS | unreachable)
    async def models() -> Response:
        try:
            listed = await served_contract.listed()
        except grpc.aio.AioRpcError as error:
            raise failed_call(error) from None
        return Response(msgspec.json.encode(document_of(listed, Form.PAGE)), media_type="application/json")

    @router.get("/contract", summary="Where to get the contract")
    async def contract_files(request: Request) -> ContractFiles:
        prefix = request.scope.get("root_path", "")
        return ContractFiles(
            files=[f"{prefix}/contract/{name}" for name in (await served_contract.downloads()).files],
            descriptor_set=f"{prefix}/contract.binpb",
            plain_descriptor_set=f"{prefix}/contract/plain.binpb",
            plain_archive=f"{prefix}/contract/plain.zip",
        )

    for path, (part, media_type, summary) in _COMPILED.items():
        router.add_api_route(
            path,
            _download(served_contract, part, media_type),
            summary=summary,
            response_class=Response,
            responses={200: {"content": {media_type: {"schema": {"type": "string", "format": "binary"}}}}},
            name=part,
        )
    for name, text in (contract.sources | contract.imports).items():
        router.add_api_route(
            f"/contract/{name}",
            fixed(PlainTextResponse(text)),
            summary=f"The text of {name}",
            response_class=PlainTextResponse,
            name=name,
            include_in_schema=name in contract.sources,
        )
    for name, image in contract.images.items():
        page = fixed(Response(image, media_type=guess_type(name)[0]))
        router.add_api_route(f"/contract/{name}", page, include_in_schema=False)
    return router


def _download(served_contract: ServedContract, part: str, media_type: str) -> Callable[[], Awaitable[Response]]:
    """The handler of a download: of the services that the server lists now."""

    async def page() -> Response:
        return Response(getattr(await served_contract.downloads(), part), media_type=media_type)

    return page
