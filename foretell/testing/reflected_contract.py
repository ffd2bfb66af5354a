"""The contract of a running server, as it describes itself."""

from collections.abc import Iterator
from typing import Any

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from foretell_contract.contract import MODEL_SERVICE, Contract, load_set
from foretell_contract.errors import ContractError, SetupError

_SECONDS = 10.0
_HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
_METHOD = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


def reflected(channel: grpc.Channel, target: str) -> tuple[Contract, frozenset[str]]:
    """The contract that the server at `target` tells by reflection, and the services that it serves. Comments are not told.

    Raises SetupError where there is no server, no reflection, or no contract.
    """
    try:
        files, names = _files(channel)
        return load_set(FileDescriptorSet(file=_in_order(files))), names
    except grpc.RpcError as error:
        told: Any = error
        raise SetupError(_why(target, told.code(), told.details() or "")) from None
    except ContractError as error:
        raise SetupError(f"the contract that {target} tells cannot be read: {error}") from None


def served_services(channel: grpc.Channel) -> frozenset[str]:
    """Names of the services that a server tells by reflection; none where there is no server or no reflection."""
    try:
        return frozenset(_own(channel))
    except grpc.RpcError:
        return frozenset()


def _why(target: str, code: grpc.StatusCode, details: str) -> str:
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return f"the server at {target} does not describe itself: switch its `reflection` on, or pass --protos"
    return f"no gRPC server answers at {target}: {code.name} ({details.partition(';')[0][:200]})"


def _files(channel: grpc.Channel) -> tuple[dict[str, FileDescriptorProto], frozenset[str]]:
    own = _own(channel)
    files: dict[str, FileDescriptorProto] = {}
    wanted = [reflection_pb2.ServerReflectionRequest(file_containing_symbol=name) for name in own]
    while wanted:
        for answer in _ask(channel, wanted):
            found = map(FileDescriptorProto.FromString, answer.file_descriptor_response.file_descriptor_proto)
            files |= {file.name: file for file in found}
        missing = sorted({name for file in files.values() for name in file.dependency} - files.keys())
        wanted = [reflection_pb2.ServerReflectionRequest(file_by_filename=name) for name in missing]
    return files, frozenset(own)


def _own(channel: grpc.Channel) -> list[str]:
    """Names of the services that are neither ours nor of the protocol."""
    (listed,) = _ask(channel, [reflection_pb2.ServerReflectionRequest(list_services="")])
    names = [service.name for service in listed.list_services_response.service]
    return [name for name in names if name not in (_HEALTH, MODEL_SERVICE) and not name.startswith("grpc.reflection.")]


def _ask(channel: grpc.Channel, requests: list[Any]) -> list[Any]:
    call: Any = channel.stream_stream(
        _METHOD,
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    answers = list(call(iter(requests), timeout=_SECONDS))
    for answer in answers:
        if answer.HasField("error_response"):
            raise SetupError(f"the server does not describe all of its contract: {answer.error_response.error_message[:200]}")
    return answers


def _in_order(files: dict[str, FileDescriptorProto]) -> Iterator[FileDescriptorProto]:
    """Each file behind those that it imports."""
    done: set[str] = set()

    def behind(name: str) -> Iterator[FileDescriptorProto]:
        if name not in done:
            done.add(name)
            for each in files[name].dependency:
                yield from behind(each)
            yield files[name]

    for name in sorted(files):
        yield from behind(name)
