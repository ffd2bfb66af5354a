"""The pages that every bridge has: health, models, and the contract's files."""

from mimetypes import guess_type
from typing import Any

import grpc
from fastapi import APIRouter
from grpc_health.v1 import health_pb2
from pydantic import BaseModel
from starlette.responses import PlainTextResponse, Response

from foretell_contract.contract import LIST_MODELS_RESPONSE, Contract
from rest_bridge.channel import Channel
from rest_bridge.json.codec import page_json
from rest_bridge.json.grpc_to_http import failed_call
from rest_bridge.json.request_problems import refusal
from rest_bridge.openapi.refusal_responses import refusal_response
from rest_bridge.served_contract import ServedContract

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
        return Response(page_json(listed), media_type="application/json")

    @router.get("/contract", summary="Where to get the contract")
    async def contract_files() -> ContractFiles:
        served = await served_contract.contract()
        return ContractFiles(files=[f"/contract/{name}" for name in served.sources], descriptor_set="/contract.binpb")

    @router.get(
        "/contract.binpb",
        summary="The contract, compiled: a FileDescriptorSet with imports and comments",
        response_class=Response,
        responses={200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}},
    )
    async def descriptor_set() -> Response:
        return Response(contract.descriptor_set, media_type="application/octet-stream")

    for name, text in contract.sources.items():
        router.add_api_route(
            f"/contract/{name}", _source(text), summary=f"The text of {name}", response_class=PlainTextResponse, name=name
        )
    for name, image in contract.images.items():
        router.add_api_route(f"/contract/{name}", _image(name, image), include_in_schema=False)
    return router


def _source(text: str) -> Any:
    async def source() -> PlainTextResponse:
        return PlainTextResponse(text)

    return source


def _image(name: str, image: bytes) -> Any:
    kind, _ = guess_type(name)

    async def picture() -> Response:
        return Response(image, media_type=kind)

    return picture
