"""The fixed pages: health, models, and the contract itself for other teams."""

from mimetypes import guess_type
from typing import Any

import grpc
from fastapi import APIRouter
from google.protobuf import json_format
from grpc_health.v1 import health_pb2
from pydantic import BaseModel
from starlette.responses import PlainTextResponse, Response

from foretell_contract.contract import Contract
from rest_bridge.channel import Channel
from rest_bridge.json.grpc_to_http import refused_call
from rest_bridge.json.request_problems import refused
from rest_bridge.openapi.refusal_responses import refusal_response
from rest_bridge.served_contract import ServedContract

_SECONDS = 2.0
_RETRY = {"retry-after": "1"}


class Health(BaseModel):
    """State of a process."""

    status: str


class Cost(BaseModel):
    """What a run of a model takes; absent where it could not be tried."""

    one_row_seconds: float | None = None
    """Seconds for one row."""
    batch_seconds: float | None = None
    """Seconds for 64 rows together."""


class Model(BaseModel):
    """One version of a model that may be asked for."""

    name: str
    version: str
    format: str
    digest: str
    created: str
    services: list[str]
    columns: list[str]
    classes: list[str]
    aliases: list[str]
    """Empty where the version is only kept warm."""
    generation: int
    """Generation of the record by which it stands here."""
    canary_share: float
    """Share of the calls that choose nothing which it answers as a canary."""
    placement: str
    """Where it runs: `PLACEMENT_INLINE` or `PLACEMENT_PROCESS`."""
    workers: int
    """How many runs go on at the same time."""
    source: str
    """What it is in the registry that it comes from; empty where it comes from none."""
    cost: Cost | None = None


class RefusedVersion(BaseModel):
    """A version that did not get through the gates."""

    version: str
    gate: str
    reason: str
    refused: str
    """When."""
    generation: int


class Shadow(BaseModel):
    """A version that is asked what production was asked, and how its answers compare."""

    version: str
    compared: int
    agreeing: int
    largest_shift: float
    mean_shift: float
    mean_seconds: float
    failed: int
    left_out: int


class Followed(BaseModel):
    """What became of a version because an alias in a registry named it."""

    address: str
    source: str
    version: str
    """Empty where it was refused before it was a version here."""
    reason: str
    """Why it was refused; empty where it was not."""
    done: str
    """When."""


class Following(BaseModel):
    """Where the server stands with the record of one model."""

    name: str
    generation: int
    loading: str
    """Version on its way to be served; empty where none is."""
    gate: str
    refused: RefusedVersion | None = None
    shadow: Shadow | None = None
    followed: Followed | None = None
    trouble: str
    """Why the record is not followed; empty where it is."""


class Models(BaseModel):
    """The versions that may be asked for, and how far their records are followed."""

    models: list[Model]
    following: list[Following]


class ContractFiles(BaseModel):
    """Where to get the contract."""

    files: list[str]
    """Paths of the `.proto` files."""
    descriptor_set: str
    """Path of the compiled FileDescriptorSet, imports and comments included."""


def pages(contract: Contract, channel: Channel, shown: ServedContract) -> APIRouter:
    """Routes that every contract gets."""
    router = APIRouter(tags=["server"])
    check = channel.unary_unary("/grpc.health.v1.Health/Check")
    away: dict[int | str, dict[str, Any]] = {status: refusal_response(status) for status in (429, 503, 504)}

    @router.get("/healthz", summary="Whether the bridge runs")
    async def healthz() -> Health:
        return Health(status="live")

    @router.get("/readyz", summary="Whether calls are answered", responses={503: refusal_response(503)})
    async def readyz() -> Health:
        try:
            answer = await check(health_pb2.HealthCheckRequest().SerializeToString(), timeout=_SECONDS)
        except grpc.aio.AioRpcError:
            raise refused(503, "unavailable", "the model server cannot be reached", headers=_RETRY) from None
        if health_pb2.HealthCheckResponse.FromString(answer).status != health_pb2.HealthCheckResponse.SERVING:
            raise refused(503, "unavailable", "the model server is not ready", headers=_RETRY)
        return Health(status="ready")

    @router.get("/models", summary="Which models answer", responses=away)
    async def models() -> Models:
        try:
            listed = await shown.listed()
        except grpc.aio.AioRpcError as error:
            raise refused_call(error) from None
        document = json_format.MessageToDict(listed, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
        return Models.model_validate(document)

    @router.get("/contract", summary="Where to get the contract")
    async def contract_files() -> ContractFiles:
        served = await shown.contract()
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
