"""The pages that every bridge has: health, models, and the contract's files."""

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
_SECONDS = 2.0
_RETRY = {"retry-after": "1"}


class Health(BaseModel):
    """State of a process: `live` or `ready`."""

    status: str


class ContractFiles(BaseModel):
    """Where the contract can be downloaded."""

    files: list[str]
    """Paths of the `.proto` files."""
    descriptor_set: str
    """Path of the compiled FileDescriptorSet, imports and comments included."""


class ServedContract:
    """The contract without the services that have no model, for the docs pages. Use it on one event loop."""

    def __init__(self, contract: Contract, channel: Channel) -> None:
        self._contract = self._last_served = contract
        self._list_models = channel.unary_unary(f"/{MODEL_SERVICE}/ListModels")
        self._response = contract.message(LIST_MODELS_RESPONSE)

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
        served, prefix = await served_contract.contract(), request.scope.get("root_path", "")
        files = [f"{prefix}/contract/{name}" for name in served.sources]
        return ContractFiles(files=files, descriptor_set=f"{prefix}/contract.binpb")

    router.add_api_route(
        "/contract.binpb",
        fixed(Response(contract.descriptor_set, media_type="application/octet-stream")),
        summary="The contract, compiled: a FileDescriptorSet with imports and comments",
        response_class=Response,
        responses={200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}},
        name="descriptor_set",
    )
    for name, text in contract.sources.items():
        router.add_api_route(
            f"/contract/{name}",
            fixed(PlainTextResponse(text)),
            summary=f"The text of {name}",
            response_class=PlainTextResponse,
            name=name,
        )
    for name, image in contract.images.items():
        page = fixed(Response(image, media_type=guess_type(name)[0]))
        router.add_api_route(f"/contract/{name}", page, include_in_schema=False)
    return router
