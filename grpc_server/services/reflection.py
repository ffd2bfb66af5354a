"""Server reflection, v1 and v1alpha, over the pool of a contract (https://grpc.io/docs/guides/reflection/).

grpcio-reflection has v1alpha only. Both versions are the same on the wire, so one servicer answers both.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any

from google.protobuf import text_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from grpc_server.calls.handler import Handler, Kind, immediate

V1ALPHA = "grpc.reflection.v1alpha.ServerReflection"
V1 = "grpc.reflection.v1.ServerReflection"
HEALTH = "grpc.health.v1.Health"


def reflection_handlers(services: Iterable[str], pool: DescriptorPool) -> list[Handler]:
    """Handlers that describe `services`, error details, health and reflection from `pool`, to which they add the last two."""
    alpha = FileDescriptorProto.FromString(reflection_pb2.DESCRIPTOR.serialized_pb)
    v1 = text_format.Parse(text_format.MessageToString(alpha).replace("v1alpha", "v1"), FileDescriptorProto())
    v1.name = "grpc/reflection/v1/reflection.proto"
    pool.AddSerializedFile(health_pb2.DESCRIPTOR.serialized_pb)
    for file in (alpha, v1):
        pool.AddSerializedFile(file.SerializeToString())
    servicer = reflection.ReflectionServicer((*services, HEALTH, V1ALPHA, V1), pool=pool)
    answer = immediate(reflection_pb2.ServerReflectionRequest, partial(_respond, servicer, pool))
    return [Handler(f"/{name}/ServerReflectionInfo", Kind.STREAM, answer) for name in (V1ALPHA, V1)]


def _respond(servicer: reflection.ReflectionServicer, pool: DescriptorPool, request: Any) -> Any:
    """Answer as grpcio's servicer, and also for methods, which a pool does not find by name: by the file of their service."""
    response = next(servicer.ServerReflectionInfo(iter((request,)), None))
    service, _, method = request.file_containing_symbol.rpartition(".")
    if response.HasField("error_response") and _has_method(pool, service, method):
        by_service = reflection_pb2.ServerReflectionRequest(file_containing_symbol=service)
        response = next(servicer.ServerReflectionInfo(iter((by_service,)), None))
        response.original_request.CopyFrom(request)
    return response


def _has_method(pool: DescriptorPool, service: str, method: str) -> bool:
    try:
        return method in pool.FindServiceByName(service).methods_by_name
    except KeyError:
        return False
