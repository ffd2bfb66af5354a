"""ModelService: which models a server hosts."""

import math
from typing import Any

from google.protobuf.message import Message

from contract.contract import MODEL_SERVICE
from grpc_server.handler import Handler, Kind, at_once
from grpc_server.manifest import Manifest
from grpc_server.model import Model
from grpc_server.registry import Registry


def listing_handler(registry: Registry) -> Handler:
    """The handler of `foretell.v1.ModelService`, in the messages of the contract's pool."""
    request, response = registry.contract.message("foretell.v1.ListModelsRequest"), _list_models(registry)
    return Handler(f"/{MODEL_SERVICE}/ListModels", Kind.UNARY, at_once(request, lambda _request: response))


def describe(response: Any, name: str, version: str, manifest: Manifest) -> Any:
    """Add to a ListModelsResponse what the repository knows of a version; the message that was added."""
    listed = response.models.add(
        name=name,
        version=version,
        format=manifest.format,
        digest=manifest.digest,
        columns=manifest.columns,
        classes=manifest.classes,
    )
    listed.created.FromDatetime(manifest.created)
    return listed


def _list_models(registry: Registry) -> Message:
    response: Any = registry.contract.message("foretell.v1.ListModelsResponse")()
    by_version: dict[tuple[str, str], list[Model]] = {}
    for model in registry.models:
        by_version.setdefault((model.name, model.version), []).append(model)
    for (name, version), models in by_version.items():
        first = models[0]
        listed = describe(response, name, version, first.manifest)
        listed.services.extend(model.service.full_name for model in models)
        listed.placement = f"PLACEMENT_{first.placement.name}"
        listed.workers = sum(model.workers for model in models)
        for field, seconds in (("one_row_seconds", first.cost.one_row), ("batch_seconds", first.cost.batch)):
            if math.isfinite(seconds):
                setattr(listed.cost, field, seconds)
    return response  # type: ignore[no-any-return]  # messages of a private pool have no static type
