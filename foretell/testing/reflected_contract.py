"""Reads the contract of a running server by gRPC server reflection."""

from graphlib import TopologicalSorter
from typing import Any

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from foretell_contract.contract import MODEL_SERVICE, Contract, load_set
from foretell_contract.errors import ContractError, SetupError
from grpc_server.transport.tls import Trust

_TIMEOUT = 10.0
"""Seconds until a call without a reply fails."""

_HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
_METHOD = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


def reflected_contract(channel: grpc.Channel, target: str, trust: Trust) -> tuple[Contract, frozenset[str]]:
    """The contract of the server at `target`, without comments, and the names of its services.

    Raises SetupError if there is no server, it has no reflection, or its contract cannot be read.
    """
    try:
        files, names = _files(channel)
        order = TopologicalSorter({name: files[name].dependency for name in sorted(files)}).static_order()
        return load_set(FileDescriptorSet(file=[files[name] for name in order])), names
    except grpc.RpcError as error:
        raise _failure(error, target, trust) from None
    except ContractError as error:
        raise SetupError(f"cannot read the contract of the server at {target}: {error}") from None


def served_services(channel: grpc.Channel, target: str, trust: Trust) -> frozenset[str]:
    """Names of the services of a server by reflection; empty if it has none. Raises SetupError if there is no server."""
    try:
        return frozenset(_service_names(channel))
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.UNAVAILABLE:
            return frozenset()
        raise _failure(error, target, trust) from None


def _failure(call: Any, target: str, trust: Trust) -> SetupError:
    if call.code() is grpc.StatusCode.UNIMPLEMENTED:
        return SetupError(f"the server at {target} has no server reflection: set `reflection` on, or pass --protos")
    reason = f"no gRPC server answers at {target}: {call.code().name} ({(call.details() or '').partition(';')[0][:200]})"
    return SetupError(trust.problem(target, call, "give the port for predictions, which takes no client certificate") or reason)


def _files(channel: grpc.Channel) -> tuple[dict[str, FileDescriptorProto], frozenset[str]]:
    names = _service_names(channel)
    files: dict[str, FileDescriptorProto] = {}
    wanted = [reflection_pb2.ServerReflectionRequest(file_containing_symbol=name) for name in names]
    while wanted:
        for answer in _ask(channel, wanted):
            found = map(FileDescriptorProto.FromString, answer.file_descriptor_response.file_descriptor_proto)
            files |= {file.name: file for file in found}
        missing = sorted({name for file in files.values() for name in file.dependency} - files.keys())
        wanted = [reflection_pb2.ServerReflectionRequest(file_by_filename=name) for name in missing]
    return files, frozenset(names)


def _service_names(channel: grpc.Channel) -> list[str]:
    """Names of the services, without those of gRPC and Foretell themselves."""
    (listed,) = _ask(channel, [reflection_pb2.ServerReflectionRequest(list_services="")])
    names = [service.name for service in listed.list_services_response.service]
    return [name for name in names if name not in (_HEALTH, MODEL_SERVICE) and not name.startswith("grpc.reflection.")]


def _ask(channel: grpc.Channel, requests: list[Any]) -> list[Any]:
    call: Any = channel.stream_stream(
        _METHOD,
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    answers = list(call(iter(requests), timeout=_TIMEOUT))
    for answer in answers:
        if answer.HasField("error_response"):
            raise SetupError(f"the server does not describe its whole contract: {answer.error_response.error_message[:200]}")
    return answers
