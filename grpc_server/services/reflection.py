"""Server reflection, v1 and v1alpha, over the pool of a contract (https://grpc.io/docs/guides/reflection/).

grpcio-reflection has v1alpha only. The two protocols are the same on the wire, so one servicer answers under both names.
"""

import contextlib
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
    """Handlers that let a caller list `services` and the protocols' own, and resolve each of them from `pool`.

    Descriptors are added to the pool: of health and reflection, which a caller could list but not describe without them, and of
    the error details, which a caller could not read.
    """
    alpha = FileDescriptorProto.FromString(reflection_pb2.DESCRIPTOR.serialized_pb)
    for module in (any_pb2, duration_pb2, status_pb2, error_details_pb2, health_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    for file in (alpha, _as_v1(alpha)):
        pool.AddSerializedFile(file.SerializeToString())
    servicer = _Servicer((*services, HEALTH, V1ALPHA, V1), pool=pool)
    answer = immediate(reflection_pb2.ServerReflectionRequest, servicer.respond)
    return [Handler(f"/{name}/ServerReflectionInfo", Kind.STREAM, answer) for name in (V1ALPHA, V1)]


class _Servicer(reflection.ReflectionServicer):  # type: ignore[misc]  # grpcio-reflection ships no types
    """Finds methods too, which a pool does not find by name: the file of a method is that of its service."""

    def respond(self, request: Any) -> Any:
        """The answer to one request of a stream."""
        return next(self.ServerReflectionInfo(iter((request,)), None))

    def _file_containing_symbol(self, request: Any, symbol: str) -> Any:
        found = super()._file_containing_symbol(request, symbol)
        if found.HasField("error_response") and "." in symbol:
            service, _, method = symbol.rpartition(".")
            with contextlib.suppress(KeyError):
                if method in self._pool.FindServiceByName(service).methods_by_name:
                    return super()._file_containing_symbol(request, service)
        return found


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
