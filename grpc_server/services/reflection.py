"""Server reflection, v1 and v1alpha, over the pool of a contract (https://grpc.io/docs/guides/reflection/).

grpcio-reflection has v1alpha only. Both versions are the same on the wire, so one servicer answers both.
"""

from collections.abc import Iterable
from typing import Any

from google.protobuf import any_pb2, duration_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from grpc_server.calls.handler import Handler, Kind, immediate

V1ALPHA = "grpc.reflection.v1alpha.ServerReflection"
V1 = "grpc.reflection.v1.ServerReflection"
HEALTH = "grpc.health.v1.Health"


def reflection_handlers(services: Iterable[str], pool: DescriptorPool) -> list[Handler]:
    """Handlers that list `services`, health and reflection itself, and describe them from `pool`.

    Adds descriptors to the pool: of health and reflection, so that callers can describe them, and of the error details, so that
    callers can read them.
    """
    alpha = FileDescriptorProto.FromString(reflection_pb2.DESCRIPTOR.serialized_pb)
    for module in (any_pb2, duration_pb2, status_pb2, error_details_pb2, health_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    for file in (alpha, _as_v1(alpha)):
        pool.AddSerializedFile(file.SerializeToString())
    finder = _DescriptorFinder((*services, HEALTH, V1ALPHA, V1), pool)
    answer = immediate(reflection_pb2.ServerReflectionRequest, finder.respond)
    return [Handler(f"/{name}/ServerReflectionInfo", Kind.STREAM, answer) for name in (V1ALPHA, V1)]


class _DescriptorFinder:
    """Answers as grpcio's servicer, and also for methods, which a pool does not find by name: by the file of their service."""

    def __init__(self, services: Iterable[str], pool: DescriptorPool) -> None:
        self._servicer = reflection.ReflectionServicer(services, pool=pool)
        self._pool = pool

    def respond(self, request: Any) -> Any:
        """The response to one request of a stream."""
        response = self._respond(request)
        service, _, method = request.file_containing_symbol.rpartition(".")
        if response.HasField("error_response") and self._has_method(service, method):
            response = self._respond(reflection_pb2.ServerReflectionRequest(file_containing_symbol=service))
            response.original_request.CopyFrom(request)
        return response

    def _respond(self, request: Any) -> Any:
        return next(self._servicer.ServerReflectionInfo(iter((request,)), None))

    def _has_method(self, service: str, method: str) -> bool:
        try:
            return method in self._pool.FindServiceByName(service).methods_by_name
        except KeyError:
            return False


def _as_v1(alpha: FileDescriptorProto) -> FileDescriptorProto:
    v1 = FileDescriptorProto.FromString(alpha.SerializeToString())
    v1.name, v1.package = "grpc/reflection/v1/reflection.proto", "grpc.reflection.v1"
    for message in v1.message_type:
        for field in message.field:
            if field.type_name:
                field.type_name = field.type_name.replace("v1alpha", "v1")
    for method in v1.service[0].method:
        method.input_type = method.input_type.replace("v1alpha", "v1")
        method.output_type = method.output_type.replace("v1alpha", "v1")
    return v1
