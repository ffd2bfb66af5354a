"""ModelService: which models a server hosts."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import Message

from contract.contract import MODEL_SERVICE
from grpc_server.model import Model
from grpc_server.registry import Registry


def listing_handler(registry: Registry) -> grpc.GenericRpcHandler:
    """The handler of `foretell.v1.ModelService`, in the messages of the contract's pool."""
    request = registry.contract.message("foretell.v1.ListModelsRequest")
    response = _list_models(registry)
    handler = grpc.unary_unary_rpc_method_handler(
        _always(response), request_deserializer=request.FromString, response_serializer=type(response).SerializeToString
    )
    return grpc.method_handlers_generic_handler(MODEL_SERVICE, {"ListModels": handler})


def _always(response: Message) -> Callable[[Message, Any], Awaitable[Message]]:
    async def list_models(_request: Message, _context: Any) -> Message:
        return response

    return list_models


def _list_models(registry: Registry) -> Message:
    response: Any = registry.contract.message("foretell.v1.ListModelsResponse")()
    by_version: dict[tuple[str, str], list[Model]] = {}
    for model in registry.models:
        by_version.setdefault((model.name, model.version), []).append(model)
    for (name, version), models in by_version.items():
        manifest = models[0].manifest
        listed = response.models.add(
            name=name,
            version=version,
            format=manifest.format,
            digest=manifest.digest,
            services=[model.service.full_name for model in models],
            columns=manifest.columns,
            classes=manifest.classes,
        )
        listed.created.FromDatetime(manifest.created)
    return response  # type: ignore[no-any-return]  # messages of a private pool have no static type
